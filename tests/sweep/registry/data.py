"""Data sets, batches, tokenizers, splits, transforms, corruptions; shapes: `data_shapes.py`."""

from __future__ import annotations

import copy
import functools
import itertools
import random as standard
import unicodedata
from collections import Counter
from types import SimpleNamespace

import numpy as np
import torch
from tokenizers import Tokenizer, models
from torch import Tensor

from mmtutor.data import load
from mmtutor.data.augment import AugmentPictures
from mmtutor.data.batch import collate, hide_tokens, loader, require
from mmtutor.data.bpe import learn_merges, readable, split_by
from mmtutor.data.card import card
from mmtutor.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt, gaussian_noise, word_drop
from mmtutor.data.dataset import Compose, Dataset, from_array
from mmtutor.data.splits import fold_of, group_of, near_duplicate_pairs, normalised
from mmtutor.data.tokenizer import SubwordTokenizer, WordTokenizer, words
from mmtutor.data.transforms import (
    ImageTransform,
    RandomFlip,
    SynonymReplacement,
    Tokenize,
    WordDropout,
)
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    Sizes,
    constant,
    constantly,
    count,
    floats,
    generator,
    given,
    labels,
    masks,
    number,
    option,
    optional,
    sentence,
    text,
    texts,
)

Random = standard.Random


def token_examples(random: Random, sizes: Sizes) -> list[dict]:
    return [
        {
            "tokens": torch.randint(2, 9, (random.randint(1, 5),), generator=generator(random)),
            "image": torch.randint(256, (3, 2, 2), generator=generator(random)).byte(),
            "label": random.randrange(9),
            "score": random.random(),
            "caption": sentence(random),
        }
        for _ in range(sizes["B"])
    ]


def with_value(key: str, *values: object):
    """Spoil one of the examples: another value under `key`."""

    def spoil(random: Random, examples: list[dict]) -> list[dict]:
        row = random.randrange(len(examples))
        return [
            {**e, key: random.choice(values)} if i == row else e for i, e in enumerate(examples)
        ]

    return spoil


def without_value(random: Random, examples: list[dict]) -> list[dict]:
    row = random.randrange(len(examples))
    less = {key: value for key, value in examples[row].items() if key != "label"}
    return [*examples[:row], less, *examples[row + 1 :]]


def mapped(change) -> object:
    return lambda random, examples: [change(example) for example in examples]


EXAMPLES = Kind(
    token_examples,
    bad={
        "empty": constantly([]),
        "no list": constantly(None, "abc", 3, {"a": 1}),
        "no examples": constantly([1, 2], ["a"], [None]),
        "another shape": with_value("image", torch.zeros(3, 2, 3, dtype=torch.uint8)),
        "another type": with_value("image", torch.zeros(3, 2, 2)),
        "no tokens": with_value("tokens", torch.tensor([], dtype=torch.long), "abc", None, 3),
        "token fractions": with_value("tokens", torch.tensor([0.5, 1.0]), [0.5]),
        "token table": with_value("tokens", torch.zeros(2, 2, dtype=torch.long)),
        "no number": with_value("label", None, "1", torch.tensor(1)),
        "too large": with_value("label", 2**63),
        "lacks a key": without_value,
        "0 to 255": mapped(lambda e: {**e, "image": torch.full((3, 2, 2), 255.0)}),
    },
    same={
        "numpy numbers": mapped(lambda e: {**e, "label": np.int64(e["label"])}),
        "numpy score": mapped(lambda e: {**e, "score": np.float64(e["score"])}),
        "arrays": mapped(lambda e: {**e, "image": e["image"].numpy()}),
        "token list": mapped(lambda e: {**e, "tokens": e["tokens"].tolist()}),
        "tuple": lambda random, examples: tuple(examples),
    },
)


def collated(batch: dict[str, Tensor], a: SimpleNamespace) -> bool:
    rows = range(len(a.examples))
    tokens = [batch["tokens"][i][batch["tokens_mask"][i]].tolist() for i in rows]
    return (
        tokens == [e["tokens"].tolist() for e in a.examples]
        and not batch["tokens"][~batch["tokens_mask"]].any()
        and torch.equal((batch["image"] * 255).round().byte(), stack(a.examples, "image"))
        and batch["label"].tolist() == [e["label"] for e in a.examples]
        and batch["score"].tolist() == torch.tensor([e["score"] for e in a.examples]).tolist()
        and "caption" not in batch
    )


def stack(examples: list[dict], key: str) -> Tensor:
    return torch.stack([example[key] for example in examples])


def captions(random: Random, sizes: Sizes) -> Dataset:
    n = sizes["N"]
    return Dataset(
        {
            "image": torch.randint(256, (n, 3, 6, 6), generator=generator(random)).byte(),
            "caption": [sentence(random) for _ in range(n)],
            "audio": torch.rand(n, 12, generator=generator(random)) * 2 - 1,
            "row": torch.arange(n),
            "group": torch.randint(3, (n,), generator=generator(random)),
        }
    )


def with_column(name: str, *columns):
    return lambda random, data: data.with_column(name, random.choice(columns)(data.column(name)))


DATA = given(captions).but(
    **{
        "empty": lambda random, data: data.subset([]),
        "text missing": with_column(
            "caption", lambda c: [*c[:-1], None], lambda c: [[x] for x in c]
        ),
        "picture of floats": with_column("image", lambda x: x.float(), lambda x: x[:, :2]),
        "sound of int16": with_column("audio", lambda x: (x * 9).short(), lambda x: x * 9),
        "NaN in sound": with_column("audio", lambda x: x / x.floor().clamp(0, 0)),
    }
)
NO_COLUMN = {"no column": constantly("abc", 3, ["row"], ("row",))}
NO_COLUMNS = {"no columns": constantly(None, "row", 3, [3], ["abc"], {"row": 1})}


def twice_drawn(random: Random, sizes: Sizes) -> Dataset:
    """Rows out of three, so that some come more than once, and labels that need not agree."""
    three = captions(random, Sizes(random, N=3))
    data = three.subset([random.randrange(3) for _ in range(sizes["N"])])
    return data.with_column("group", torch.tensor([random.randrange(2) for _ in range(len(data))]))


TWICE_DRAWN = given(twice_drawn).but(
    **{key: DATA.bad[key] for key in ("empty", "picture of floats")}
)


def carded(value, a: SimpleNamespace) -> bool:
    """By plain loops over the rows."""
    rows, label, held = (
        data.column(name).tolist()
        for data, name in ((a.dataset, "row"), (a.dataset, "group"), (a.held_out, "row"))
    )
    said = list(zip(rows, label, strict=True))
    pictures = a.dataset.column("image")
    first = [next(j for j, other in enumerate(pictures) if other.equal(p)) for p in pictures]
    return (
        value.examples == len(rows)
        and value.repeated == sum(row in rows[:i] for i, row in enumerate(rows))
        and value.near >= sum(i != j for i, j in enumerate(first))
        and value.contradicted == sum((r, 1 - g) in said for r, g in said)
        and value.leaked <= len(held)
        and value.values["group"] == Counter(label)
    )


MODALITY = {name: modality for modality, kinds in CORRUPTIONS.items() for name in kinds}


def noised(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """The same noise every time."""
    again = generator.clone_state() if isinstance(generator, torch.Generator) else generator
    return gaussian_noise(image, severity, again)


def dropped(text: str, severity: int, random: np.random.Generator) -> str:
    return word_drop(text, severity, copy.deepcopy(random))


def corrupt_any(data: Dataset, corruption: str, severity: int, seed: int = 0) -> Dataset:
    """`corrupt` in the corruption's own modality, and every other one of them in turn."""
    modality = MODALITY.get(corruption, "image") if isinstance(corruption, str) else "image"
    if isinstance(data, Dataset) and len(data) == 0:
        return corrupt(data, corruption, severity, modality, seed=seed)
    spoiled = corrupt(data, corruption, severity, modality, seed=seed)
    for other in ("blur", "case", "clipping"):
        corrupt(data, other, severity, MODALITY[other], seed=seed)
    return spoiled


def spoiled(value: Dataset, a: SimpleNamespace) -> bool:
    """One column changed, in its form and range; again the same from the same seed."""
    field = {"image": "image", "text": "caption", "sound": "audio"}[MODALITY[a.corruption]]
    again = corrupt(a.data, a.corruption, a.severity, MODALITY[a.corruption], seed=a.seed)
    left = [key for key in a.data.columns if key != field]
    same = all(value.column(key) is a.data.column(key) for key in left)
    new, old = value.column(field), a.data.column(field)
    if isinstance(new, list):
        return same and new == again.column(field) and len(new) == len(old)
    inside = new.dtype == torch.uint8 or bool(new.abs().max() <= 1)
    return same and inside and new.shape == old.shape and torch.equal(new, again.column(field))


def batches(value: list[dict[str, Tensor]], a: SimpleNamespace) -> bool:
    """Every row once; of a group, all rows in turn."""
    rows = torch.cat([batch["row"] for batch in value]).tolist()
    groups = [int(a.dataset.column("group")[row]) for row in rows]
    runs = 1 + sum(one != other for one, other in itertools.pairwise(groups))
    together = a.group_by is None or runs == len(set(groups))
    return sorted(rows) == list(range(len(a.dataset))) and together


def ids(random: Random, sizes: Sizes) -> Tensor:
    return torch.randint(3, 9, sizes.shape("B L"), generator=generator(random))


def hidden_tokens(tokens, tokens_mask, generator, **options) -> dict[str, Tensor]:
    batch = {"tokens": tokens, "tokens_mask": tokens_mask}
    return hide_tokens(batch, generator=copy.deepcopy(generator), **options)


def hidden_well(batch: dict[str, Tensor], a: SimpleNamespace) -> bool:
    hidden, real = batch["hidden"], a.tokens_mask
    wanted = (a.share * real.sum(1)).round().clamp(min=1)
    return (
        torch.equal(hidden.sum(1), wanted.long())
        and not (hidden & ~real).any()
        and torch.equal(batch["tokens"][~hidden], a.tokens[~hidden])
        and torch.equal(batch["label"], a.tokens[hidden])
    )


def loaded(dataset, batch_size: int, seed: int, group_by: str | None) -> list:
    return list(loader(dataset, batch_size, seed=seed, group_by=group_by))


# Byte pair encoding.


def first_merges(value: list[tuple[str, str]], a: SimpleNamespace) -> bool:
    """By the letter: each time, join the pair that is most frequent."""
    corpus = [list(word) for word in a.words]
    for pair in value:
        found = Counter(two for word in corpus for two in itertools.pairwise(word))
        if found[pair] != max(found.values()):
            return False
        corpus = [joined(word, pair) for word in corpus]
    return len(value) == a.count or all(len(word) == 1 for word in corpus)


def joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for piece in pieces:
        if found and (found[-1], piece) == tuple(pair):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def word(random: Random, least: int = 1, most: int = 6) -> str:
    return "".join(random.choice("abcde") for _ in range(random.randint(least, most)))


MERGES = Kind(
    lambda random, sizes: [(word(random, 1, 2), word(random, 1, 2)) for _ in range(3)],
    bad={
        "one string": constantly("abc", b"abc"),
        "no pair": constantly([("a",)], [("a", "b", "c")], [("a", 3)], ["ab"], [None]),
        "no list": constantly(None, 3, {"a": "b"}),
    },
    same={"lists": lambda random, x: [list(pair) for pair in x]},
)


def bytes_of(random: Random) -> str:
    """The letters in which a byte-level vocabulary writes a text."""
    tokenizer = pre_tokenizer()
    return "".join(piece for piece, _ in tokenizer.pre_tokenize_str(sentence(random)))


@functools.cache
def pre_tokenizer():
    from tokenizers.pre_tokenizers import ByteLevel

    return ByteLevel(add_prefix_space=False)


# Tokenizers.


def plain_words(value: list[str], a: SimpleNamespace) -> bool:
    """By the character: what is a letter, a number or a mark, but each Chinese one alone."""
    spaced = "".join(
        f" {c} " if "\u4e00" <= c <= "\u9fff" else c if unicodedata.category(c)[0] in "LNM" else " "
        for c in a.text.lower()
    )
    return value == spaced.split()


def mixed(random: Random) -> str:
    return " ".join(
        random.choice(("Red", "über", "猫狗", "हिन्दी", "กา", "dog,", "42", "—", "İzmir"))
        for _ in range(5)
    )


def there_and_back(vocabulary: list[str], unit: str, text: str) -> tuple[list[int], str]:
    tokenizer = WordTokenizer(vocabulary, unit)
    ids = tokenizer.encode(text)
    return ids, tokenizer.decode(ids)


def known(value: tuple[list[int], str], a: SimpleNamespace) -> bool:
    ids, back = value
    units = a.text.split() if a.unit == "word" else list(a.text)
    expected = [a.vocabulary.index(u) + 2 if u in a.vocabulary else 1 for u in units]
    space = " " if a.unit == "word" else ""
    return ids == expected and back == space.join(
        u if u in a.vocabulary else "<unk>" for u in units
    )


def fitted(texts: list[str], min_count: int, ids: list[int]) -> tuple[list[str], str]:
    tokenizer = WordTokenizer.fit(texts, min_count)
    return tokenizer.vocabulary, tokenizer.decode(ids)


def counted(value: tuple[list[str], str], a: SimpleNamespace) -> bool:
    found = Counter(word for line in a.texts for word in line.split())
    kept = sorted((w for w in found if found[w] >= a.min_count), key=lambda w: (-found[w], w))
    return value == (kept, " ".join(("<unk>", *kept)[i - 1] for i in a.ids if i))


IDS = Kind(
    lambda random, sizes: [random.randint(0, 2) for _ in range(3)],
    bad={
        "outside": constantly([99], [-1], [0, 10**6]),
        "no ids": constantly(None, 3, "012", ["1"], [0.5], [None], {1: 2}),
    },
    same={
        "tensor": lambda random, x: torch.tensor(x),
        "array": lambda random, x: np.array(x),
        "tuple": lambda random, x: tuple(x),
    },
)


def subwords(texts: list[str], size: int, text: str) -> tuple[list[int], str]:
    tokenizer = SubwordTokenizer.fit(texts, size)
    ids = tokenizer.encode(text)
    return ids, tokenizer.decode(ids)


def controls(random: Random) -> str:
    """A text in which special tokens are named."""
    return f"{sentence(random)} <pad> <|endoftext|>"


# Splits.


def pictures(random: Random, sizes: Sizes) -> np.ndarray:
    """Twins of some, and mirrored ones."""
    noise = np.random.default_rng(random.getrandbits(31))
    own = noise.integers(0, 256, (sizes["N"], 3, 32, 32), dtype=np.uint8)
    own[-1] = own[0, :, :, ::-1]
    return own


PICTURES = Kind(
    pictures,
    bad={
        "no array": constantly(None, "abc", 3, [1], {"a": 1}),
        "another shape": lambda random, x: random.choice(
            [x[0], x[:, :1], x[..., :20], x[..., :16]]
        ),
        "another type": lambda random, x: random.choice([x / 255, x.astype(np.int32), x > 9]),
    },
    same={"tensor": lambda random, x: torch.from_numpy(x)},
    pattern="N",
)


def correlated(value: np.ndarray, a: SimpleNamespace) -> bool:
    thumbs = a.images.reshape(len(a.images), 3, 16, 2, 16, 2).mean(axis=(1, 3, 5))
    pairs = []
    for i in range(len(thumbs)):
        for j in range(i + 1, len(thumbs)):
            both = [thumbs[j], thumbs[j][:, ::-1]]
            alike = max(np.corrcoef(thumbs[i].ravel(), b.ravel())[0, 1] for b in both)
            pairs += [[i, j]] * bool(alike > a.threshold)
    return value.tolist() == pairs


def grouped(value: list[int], a: SimpleNamespace) -> bool:
    """The last picture is the first one's mirror: one group; equal captions too."""
    equal = all(
        value[i] == value[j]
        for i, one in enumerate(a.captions)
        for j, other in enumerate(a.captions)
        if normalised(one) == normalised(other)
    )
    return value[0] == value[-1] == 0 and equal and set(value) == set(range(max(value) + 1))


def dealt(value: np.ndarray, a: SimpleNamespace) -> bool:
    parted = any(
        len({int(f) for f, g in zip(value, a.groups, strict=True) if g == group}) > 1
        for group in set(a.groups)
    )
    return not parted and set(value.tolist()) == set(range(a.folds))


GROUPS = Kind(
    lambda random, sizes: [0, 1, *(random.randrange(3) for _ in range(sizes["N"] - 2))],
    bad={
        "no list": constantly(None, 3, "abc", {"a": 1}),
        "no numbers": lambda random, x: [*x[:-1], random.choice([None, "1", 0.5, [1]])],
        "empty": constantly([]),
    },
    same={
        "tensor": lambda random, x: torch.tensor(x),
        "array": lambda random, x: np.array(x),
        "numpy numbers": lambda random, x: [np.int64(v) for v in x],
    },
    pattern="N",
)


# Transforms.


def example(random: Random, sizes: Sizes) -> dict:
    return {
        "image": torch.randint(256, (3, 4, 4), generator=generator(random)).byte(),
        "caption": sentence(random, 2),
        "title": random.choice(["a dog", "top_left", "the leftmost dog", "左边的猫"]),
    }


EXAMPLE = given(example).but(
    **{
        "no text": lambda random, e: {"title": "a"},
        "text of another type": lambda random, e: {**e, "caption": random.choice([None, 3, ["a"]])},
    }
)
PICTURE_EXAMPLE = given(example).but(**{"no picture": lambda random, e: {"caption": "a"}})
TABLE = Kind(
    constant({"red": ["ruby"], "dog": ["hound", "puppy"]}).good,
    bad={
        "no table": constantly(None, 3, "red", ["red"], [("red", "ruby")]),
        "a string for a list": constantly({"red": "ruby"}, {"red": None}, {"red": [3]}, {3: ["a"]}),
    },
)
FUNCTION = Kind(
    constant(torch.flatten).good,
    bad={"no function": constantly(None, 3, "abc", [1], torch.ones(1))},
)


def flipped(value: dict, a: SimpleNamespace) -> bool:
    """Flipped with all its words exchanged, or left as it was."""
    kept = all(value[k] is a.example[k] for k in value)
    sided = a.example["title"] != "a dog" or "left" in a.example["caption"].split()
    turned = torch.equal(value["image"], a.example["image"].flip(-1))
    other = str.maketrans("左右", "右左")
    right = {
        key: a.example[key].replace("left", "right").translate(other)
        for key in ("caption", "title")
    }
    if a.p == 0 or (sided and not a.swap_words):
        return kept
    return kept if a.p < 1 and kept else turned and all(value[k] == right[k] for k in right)


def replaced(value: dict, a: SimpleNamespace) -> bool:
    pairs = zip(value["caption"].split(), a.example["caption"].split(), strict=True)
    return all(new == old or new in a.table.get(old, ()) for new, old in pairs)


def some_words(value: dict, a: SimpleNamespace) -> bool:
    kept, old = value["caption"].split(), iter(a.example["caption"].split())
    return bool(kept) and all(word in old for word in kept)


def of_rows(columns: dict, indices: object) -> dict:
    return Dataset(columns).subset(indices).columns


COLUMNS = Kind(
    lambda random, sizes: {
        "x": torch.rand(sizes["N"], 2, generator=generator(random)),
        "text": [sentence(random) for _ in range(sizes["N"])],
    },
    bad={
        "no columns": constantly(None, 3, "abc", [1], {}),
        "of other lengths": lambda random, x: {**x, "y": [1] * (len(x["text"]) + 1)},
        "no column": lambda random, x: {**x, "y": random.choice(["abc", 3, None, torch.tensor(1)])},
    },
    same={
        "arrays": lambda random, x: {**x, "x": x["x"].numpy()},
        "words": lambda random, x: {**x, "text": np.array(x["text"])},
    },
)
ROWS = Kind(
    lambda random, sizes: [random.randrange(sizes["N"]) for _ in range(2)],
    bad={
        "fractions": constantly([0.5, 1.0], torch.tensor([0.0, 1.0]), np.array([0.9])),
        "no rows": constantly(None, 3, "01", ["0"], [None], torch.zeros(1, 1, dtype=torch.long)),
        "two in a mask": constantly(torch.tensor([0, 2], dtype=torch.uint8)),
    },
    same={
        "tensor": lambda random, x: torch.tensor(x),
        "array": lambda random, x: np.array(x),
        "tuple": lambda random, x: tuple(x),
        "generator": lambda random, x: iter(x),
        "numpy numbers": lambda random, x: [np.int32(v) for v in x],
    },
)


def composed(transforms: list, example: dict) -> dict:
    return Compose(transforms)(example)


def upper(example: dict) -> dict:
    return {**example, "caption": example["caption"].upper()}


SEED = count(0)
FIELD = Kind(
    constant("caption").good, bad={"no field": constantly(None, 3, ["caption"], b"a", "x")}
)
SEVERITY = option(*SEVERITIES).but(**{"no option": constantly("", None, [1], 0.5, 6, -1)})
RANDOM = Kind(
    lambda random, sizes: generator(random),
    bad={"no generator": constantly(None, 3, "abc", np.random.default_rng(0))},
)

ENTRIES = [
    entry(
        load,
        name=option("shapes", "moving-shapes", "shapes-questions"),
        split=option("train", "val"),
        n=count(1, 3),
        holds=lambda v, a: len(v) == a.n and v.name == f"{a.name}/{a.split}",
    ),
    entry(collate, examples=EXAMPLES, holds=collated),
    entry(
        lambda batch, keys: require(batch, keys),
        of=require,
        batch=given(lambda random, sizes: {"image": torch.zeros(1), "label": torch.ones(1)}),
        keys=option("image", "label"),
        holds=lambda v, a: v is None,
    ),
    entry(
        loaded,
        of=loader,
        dataset=given(captions).but(empty=lambda random, data: data.subset([])),
        batch_size=count(),
        seed=SEED,
        group_by=option(None, "group").but(typo=None, **{"no option": constantly("x", 3)}),
        holds=batches,
    ),
    entry(
        hidden_tokens,
        of=hide_tokens,
        tokens=labels("B L", 9, lambda random, sizes: ids(random, sizes)),
        tokens_mask=masks("B L"),
        vocab_size=count(9, 12).without("too small"),
        mask_id=count(0, 8).without("too small").but(**{"too large": constantly(9_999)}),
        generator=RANDOM,
        special=given((0, 1, 2), {"no list": constantly(3, None, "abc", [-1], [9_999])}),
        share=number("(0, 1]"),
        holds=hidden_well,
    ),
    entry(
        learn_merges,
        words=texts("N", word).without("empty"),  # no words, no merges
        count=count(0),
        holds=first_merges,
    ),
    entry(
        split_by,
        merges=MERGES,
        word=text(word),
        holds=lambda v, a: v == functools.reduce(joined, a.merges, list(a.word)),
    ),
    entry(
        readable,
        piece=text(bytes_of),
        holds=lambda v, a: readable(v.replace(" ", "\u0120")) == v or not v.isascii(),
    ),
    entry(words, text=text(mixed), holds=plain_words),
    entry(
        there_and_back,
        of=WordTokenizer,
        vocabulary=Kind(
            constant(["red", "dog", "a", "r", "e"]).good,
            bad=texts().bad | {"twice": constantly(["a", "a"], ["<pad>"])},
            same={"tuple": lambda random, x: tuple(x), "array": lambda random, x: np.array(x)},
        ),
        unit=option("word", "character"),
        text=text(lambda random: sentence(random).replace("猫", "cat")).but(
            nothing=constantly("", "  ")
        ),
        holds=known,
    ),
    entry(
        fitted,
        of=WordTokenizer.fit,
        texts=texts("N", lambda random: f"a dog {sentence(random)}"),
        min_count=count(1, 2),
        ids=IDS,
        holds=counted,
    ),
    entry(
        SubwordTokenizer,
        tokenizer=given(lambda random, sizes: Tokenizer(models.WordLevel({"a": 0}, "a"))),
        holds=lambda v, a: v.encode("a") == [0] and v.decode([0]) == "a" and v.size == 1,
    ),
    entry(
        subwords,
        of=SubwordTokenizer.fit,
        texts=texts().without("empty"),  # the bytes alone will do
        size=count(257, 300),
        text=text(controls).but(nothing=constantly("")),
        holds=lambda v, a: 0 not in v[0] and v[1].strip() == a.text.lower(),
    ),
    entry(
        normalised,
        caption=text(mixed),
        holds=lambda v, a: normalised(f"The {a.caption.replace(' ', '  ')}!") == v,
    ),
    entry(
        near_duplicate_pairs,
        images=PICTURES,
        threshold=number("[-1, 1]", 0.5, 0.9),
        holds=correlated,
    ),
    entry(
        card,
        dataset=TWICE_DRAWN,
        inputs=constant(["caption", "row"]).but(**NO_COLUMNS, empty=constantly([])),
        target=constant("group").but(**NO_COLUMN),
        count=constant(["group"]).but(**NO_COLUMNS),
        held_out=TWICE_DRAWN.without("empty", "no such object"),
        near=constant("image").but(**NO_COLUMN, other=constantly("audio", "row", "caption")),
        threshold=number("[-1, 1]", 0.5, 0.9),
        holds=carded,
    ),
    entry(group_of, captions=texts("N"), images=PICTURES, holds=grouped),
    entry(
        fold_of,
        groups=GROUPS,
        names=texts("N"),
        folds=count(2, 2).but(**{"too many": constantly(99)}),
        holds=dealt,
    ),
    entry(
        from_array,
        array=Kind(
            lambda random, sizes: np.random.default_rng(0).random((sizes["N"], 2))[::-1],
            bad={
                "no array": constantly(None, 3, "abc", [1], torch.ones(1)),
                "no numbers": lambda random, x: x.astype(random.choice(["U", "O"])),
            },
            same={"another layout": lambda random, x: np.asfortranarray(x).astype(">f8")},
        ),
        holds=lambda v, a: v.tolist() == a.array.tolist(),
    ),
    entry(
        composed,
        of=Compose,
        transforms=Kind(
            constant([upper, upper]).good,
            bad={"no transforms": constantly(None, 3, "abc", [1], [upper, None], upper)},
        ),
        example=constant({"caption": "a"}),
        holds=lambda v, a: v == {"caption": "A"},
    ),
    entry(
        of_rows,
        of=Dataset,
        columns=COLUMNS,
        indices=ROWS,
        holds=lambda v, a: (
            torch.equal(v["x"], a.columns["x"][a.indices])
            and v["text"] == [a.columns["text"][i] for i in a.indices]
        ),
    ),
    entry(
        Tokenize,
        tokenizer=given(lambda random, sizes: WordTokenizer(["a", "red", "dog"])),
        field=FIELD,
        then={"example": EXAMPLE},
        holds=lambda v, a: v["tokens"].tolist() == a.tokenizer.encode(a.example["caption"]),
    ),
    entry(
        AugmentPictures,
        shift=count(0, 3),
        flip=number("[0, 1]"),
        brightness=number("[0, 1]"),
        contrast=number("[0, 1]"),
        then={"image": floats("B C H W", 0, 1).but(NaN=None, infinite=None).without("half")},
        holds=lambda v, a: v.shape == a.image.shape and 0 <= v.min() <= v.max() <= 1,
    ),
    entry(
        ImageTransform,
        transform=FUNCTION,
        seed=SEED,
        then={"example": PICTURE_EXAMPLE},
        holds=lambda v, a: torch.equal(v["image"], a.example["image"].flatten()),
    ),
    entry(
        RandomFlip,
        p=Kind(
            lambda random, sizes: random.choice([0.0, 0.5, 1.0]),
            bad=number("[0, 1]").bad,
            same={"numpy": lambda random, x: np.float64(x)},
        ),
        swap_words=Kind(lambda random, sizes: random.random() < 0.5),
        captions=optional(
            Kind(
                constant(["caption", "title"]).good,
                bad={"no list": constantly("caption", 3, b"caption", [None], [3])},
            )
        ),
        seed=SEED,
        then={
            "example": given(example).but(
                tokens=lambda random, e: {**e, "tokens": torch.tensor([1])},
            )
        },
        holds=flipped,
    ),
    entry(
        SynonymReplacement,
        table=TABLE,
        p=number("[0, 1]"),
        field=FIELD,
        seed=SEED,
        then={"example": EXAMPLE},
        holds=replaced,
    ),
    entry(
        WordDropout,
        p=number("[0, 1]"),
        field=FIELD,
        seed=SEED,
        then={"example": EXAMPLE},
        holds=some_words,
    ),
    entry(
        noised,
        of=gaussian_noise,
        image=floats("N C H W", 0, 1)
        .but(**{"0 to 255": lambda random, x: x * 255, "uint8": lambda random, x: (x * 255).byte()})
        .without("one axis more", "one axis less", "empty", "length"),  # any pictures
        severity=SEVERITY,
        generator=RANDOM,
        holds=lambda v, a: v.shape == a.image.shape and 0.02 < (v - a.image).std() < 0.7,
    ),
    entry(
        dropped,
        of=word_drop,
        text=text(),
        severity=SEVERITY,
        random=Kind(
            lambda random, sizes: np.random.default_rng(random.getrandbits(31)),
            bad={"no generator": constantly(None, 3, "abc", torch.Generator())},
        ),
        holds=lambda v, a: bool(v) and not Counter(v.split()) - Counter(a.text.split()),
    ),
    entry(
        corrupt_any,
        of=corrupt,
        data=DATA.without("empty"),  # nothing to spoil
        corruption=option(*MODALITY),
        severity=SEVERITY,
        seed=SEED,
        holds=spoiled,
    ),
]
