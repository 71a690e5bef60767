"""From text to token ids and back.

Knows two vocabularies: words counted in the reader's own captions, and a subword file made
elsewhere. Does not know padding or batches (see `batch.py`); id 0 is kept free for padding.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmtutor.data.cache import atomic_file

if TYPE_CHECKING:
    import tokenizers

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")
HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
LETTERS = rf"[^\W_{HAN}]+"
TOKEN = re.compile(rf"[{HAN}]|{LETTERS}(?:['’]{LETTERS})*")


def words(text: str) -> list[str]:
    """Lower-cased words, and each Chinese character or Japanese kana alone; no punctuation."""
    return TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


class WordTokenizer:
    """A vocabulary of whole words: id 0 pads, id 1 is an unknown word, `vocabulary` starts at 2."""

    def __init__(self, vocabulary: list[str]) -> None:
        self.vocabulary = list(vocabulary)
        self._words = [*SPECIAL, *self.vocabulary]
        self._ids = {word: index for index, word in enumerate(self._words)}
        if len(self._ids) != len(self._words):
            raise ValueError("the vocabulary has a word twice, or holds <pad> or <unk>")

    @classmethod
    def fit(cls, texts: Iterable[str], min_count: int = 1) -> WordTokenizer:
        """The words that occur at least `min_count` times, most frequent first, then by spelling.

        Raises:
            ValueError: if no word is left.
        """
        counts = Counter(word for text in texts for word in words(text))
        kept = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        vocabulary = [word for word, count in kept if count >= min_count]
        if not vocabulary:
            raise ValueError(f"no word occurs {min_count} times in the texts given to fit")
        return cls(vocabulary)

    @property
    def size(self) -> int:
        """Number of ids, the two special ones included."""
        return len(self._words)

    def encode(self, text: str) -> list[int]:
        """One id a word. Raises ValueError if the text has no word: nothing could be pooled."""
        found = words(text)
        if not found:
            raise ValueError(f"the text {text!r} has no word to encode")
        return [self._ids.get(word, UNKNOWN) for word in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The words, spaced, but Chinese characters joined; padding is left out."""
        spaced = " ".join(self._words[index] for index in ids if index != PAD)
        return re.sub(rf"(?<=[{HAN}]) (?=[{HAN}])", "", spaced)

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as JSON, whole or not at all."""
        with atomic_file(path) as file:
            file.write(json.dumps({"vocabulary": self.vocabulary}, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path | str) -> WordTokenizer:
        """Read what `save` wrote. Raises ValueError if the file is something else."""
        try:
            vocabulary = json.loads(Path(path).read_text(encoding="utf-8"))["vocabulary"]
            return cls(vocabulary)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a saved WordTokenizer") from error


class SubwordTokenizer:
    """A trained tokenizer file of the `tokenizers` library, behind the same three methods.

    Padding, truncation and special tokens that the file asks for are switched off: `collate` pads,
    and an embedding that is pooled wants the caption's own pieces alone.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path | str) -> SubwordTokenizer:
        """Read a `tokenizer.json`. Raises ValueError if it is missing or something else."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not a tokenizer file: {error}") from error

    @property
    def size(self) -> int:
        """Number of ids, added tokens included."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """One id a piece. Raises ValueError if the text has none."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise ValueError(f"the text {text!r} has no token to encode")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the pieces, as the tokenizer file says to join them."""
        return self._tokenizer.decode(list(ids))
