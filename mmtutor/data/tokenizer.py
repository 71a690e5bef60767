"""From text to token ids and back.

Knows words, characters and subwords, of the reader's own captions or of a file made elsewhere.
Does not know padding or batches (see `batch.py`); id 0 is kept free for padding.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from mmtutor import checks
from mmtutor.data.bpe import readable
from mmtutor.files import atomic_file

if TYPE_CHECKING:
    import tokenizers

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")
HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

# What stands on or under a letter, as vowel signs do in Hindi and Thai, and the two joiners. Marks
# above U+FFFF stand apart, for they are looked through one by one.
_CODES = [chr(code) for code in range(0x1F000) if unicodedata.category(chr(code))[0] == "M"]
_NEAR, _FAR = ("".join(c for c in _CODES if (c > "\uffff") == far) for far in (False, True))
MARK = rf"(?:[\u200c\u200d{_NEAR}]|(?=[\U00010000-\U0001ffff])[{_FAR}])"
LETTERS = rf"[^\W_{HAN}]+(?:{MARK}+[^\W_{HAN}]*)*"
TOKEN = re.compile(rf"[{HAN}]{MARK}*|{LETTERS}(?:['’]{LETTERS})*")
ASCII_TOKEN = re.compile("[^\\W_]+(?:'[^\\W_]+)*")  # the same without what ASCII has not, quicker


def words(text: str) -> list[str]:
    """Lower-cased words, and each Chinese character or Japanese kana alone; no punctuation.

    Marks belong to the letter before them, so that words of Hindi, Thai or Arabic stay whole.
    """
    checks.instance(str, text=text)
    text = unicodedata.normalize("NFKC", text).lower()
    return (ASCII_TOKEN if text.isascii() else TOKEN).findall(text)


def _characters(text: str) -> list[str]:
    """Every lower-cased character, punctuation too; any run of white space is one space."""
    checks.instance(str, text=text)
    return list(" ".join(unicodedata.normalize("NFKC", text).lower().split()))


UNITS: dict[str, Callable[[str], list[str]]] = {"word": words, "character": _characters}


class WordTokenizer:
    """A vocabulary of whole units: id 0 pads, id 1 is an unknown unit, `vocabulary` starts at 2.

    Args:
        vocabulary: the known units, each once.
        unit: "word", cut as `words` does, or "character".

    Raises ValueError if `vocabulary` is empty, has a unit twice, or holds <pad> or <unk>.
    """

    def __init__(self, vocabulary: list[str], unit: str = "word") -> None:
        self.vocabulary = checks.listed(str, vocabulary=vocabulary)
        checks.same_length(vocabulary=self.vocabulary)
        self.unit, self._split = unit, _splitter(unit)
        self._words = [*SPECIAL, *self.vocabulary]
        self._ids = {word: index for index, word in enumerate(self._words)}
        if len(self._ids) != len(self._words):
            raise ValueError(f"the vocabulary has a {unit} twice, or holds <pad> or <unk>")

    @classmethod
    def fit(cls, texts: Iterable[str], min_count: int = 1, unit: str = "word") -> WordTokenizer:
        """The units that occur at least `min_count` times, most frequent first, then by spelling.

        Raises:
            ValueError: if no unit is left, or `unit` is unknown.
        """
        split = _splitter(unit)
        checks.at_least(1, min_count=min_count)
        counts = Counter(word for text in checks.listed(str, texts=texts) for word in split(text))
        kept = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        vocabulary = [word for word, count in kept if count >= min_count]
        if not vocabulary:
            raise ValueError(f"no {unit} occurs {min_count} times in the texts given to fit")
        return cls(vocabulary, unit)

    @property
    def size(self) -> int:
        """Number of ids, the two special ones included."""
        return len(self._words)

    def pieces(self, text: str) -> list[str]:
        """The units of a text, known or not."""
        return self._split(text)

    def encode(self, text: str) -> list[int]:
        """One id a unit. Raises ValueError if the text has none: nothing could be pooled."""
        found = self._split(text)
        if not found:
            raise ValueError(f"the text {text!r} has no {self.unit} to encode")
        return [self._ids.get(word, UNKNOWN) for word in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The units, words with spaces but Chinese characters joined; padding is left out.

        Raises ValueError for an id that is not in the vocabulary.
        """
        units = [self._words[index] for index in _ids(ids, self.size) if index != PAD]
        if self.unit == "character":
            return "".join(units)
        return re.sub(rf"(?<=[{HAN}]) (?=[{HAN}])", "", " ".join(units))

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as JSON, whole or not at all."""
        content = {"vocabulary": self.vocabulary, "unit": self.unit}
        with atomic_file(path) as file:
            file.write(json.dumps(content, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path | str) -> WordTokenizer:
        """Read what `save` wrote. Raises ValueError if the file is something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(content["vocabulary"], content.get("unit", "word"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a saved WordTokenizer") from error


def _splitter(unit: str) -> Callable[[str], list[str]]:
    checks.one_of(UNITS, unit=unit)
    return UNITS[unit]


def _ids(ids: Iterable[int], size: int) -> list[int]:
    """Token ids as a list of int, each in [0, size)."""
    ids = [int(index) for index in checks.listed(Integral, ids=ids)]
    if ids and not 0 <= min(ids) <= max(ids) < size:
        raise ValueError(f"ids must lie in [0, {size}), got {min(ids)} to {max(ids)}")
    return ids


class SubwordTokenizer:
    """A trained tokenizer of the `tokenizers` library, behind the methods of `WordTokenizer`.

    Padding, truncation and special tokens that the file asks for are switched off: `collate` pads,
    and an embedding that is pooled wants the caption's own pieces alone. "<pad>" in a text is five
    characters, never the token of that name.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        from tokenizers import Tokenizer

        checks.instance(Tokenizer, tokenizer=tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # as the text that they are
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path | str) -> SubwordTokenizer:
        """Read a `tokenizer.json`. Raises ValueError if it is missing or something else."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not a tokenizer file: {error}") from error

    @classmethod
    def fit(cls, texts: Iterable[str], size: int, exact: bool = False) -> SubwordTokenizer:
        """Train a byte-level BPE of at most `size` ids: id 0 pads, the next 256 are the bytes.

        Text is lower-cased, unless `exact`: then `decode` gives the very text back. It is cut
        before spaces, punctuation and digits first; a run of Chinese has no spaces and stays whole,
        so that merges can find its words. Nothing is ever unknown, for every text is made of bytes.

        Raises:
            ValueError: if `size` leaves no room for the bytes.
        """
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        alphabet = pre_tokenizers.ByteLevel.alphabet()
        checks.at_least(len(alphabet) + 1, size=size)
        texts = checks.listed(str, texts=texts)
        tokenizer = Tokenizer(models.BPE())
        if not exact:
            plain = [normalizers.NFKC(), normalizers.Lowercase()]
            tokenizer.normalizer = normalizers.Sequence(plain)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=not exact)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[SPECIAL[PAD]],
            initial_alphabet=sorted(alphabet),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    def save(self, path: Path | str) -> None:
        """Write a `tokenizer.json` that `from_file` reads, whole or not at all."""
        with atomic_file(path) as file:
            file.write(self._tokenizer.to_str().encode())

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text; those of a byte-level vocabulary as `bpe.readable` writes them."""
        return [readable(token) for token in self._encode(text).tokens]

    @property
    def size(self) -> int:
        """Number of ids, added tokens included."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """One id a piece. Raises ValueError if the text has none."""
        ids = self._encode(text).ids
        if not ids:
            raise ValueError(f"the text {text!r} has no token to encode")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the pieces, as the tokenizer file says to join them.

        Raises ValueError for an id that is not in the vocabulary.
        """
        return self._tokenizer.decode(_ids(ids, self.size))

    def _encode(self, text: str) -> tokenizers.Encoding:
        checks.instance(str, text=text)
        return self._tokenizer.encode(text, add_special_tokens=False)
