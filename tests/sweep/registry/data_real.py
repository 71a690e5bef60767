"""Entries of `mmtutor.data.real`, `.hub` and `.fetch`.

Their sets are small ones, made once from packages of the same layout; the hub's tables and its
processor are the stand-ins of the tests.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import tempfile
import zipfile
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path, PurePosixPath
from random import Random
from types import SimpleNamespace
from unittest import mock

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.data.fetch import archive, gguf, pictures, registry, sets
from mmtutor.data.fetch import cache as fetch_cache
from mmtutor.data.hub import flickr30k, preprocess, vqav2
from mmtutor.data.real import (
    documents,
    easy_vqa,
    emoji,
    emoji_archive,
    fashion_mnist,
    openclipart,
    picture_files,
    sounds,
    stamps,
    state_of_the_union,
    tang_poems,
)
from tests.data import debs, ggufs
from tests.hub_standins import flickr_rows
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    constant,
    constantly,
    count,
    floats,
    given,
    number,
    option,
    text,
    texts,
)
from tests.vqa_standins import vqa_rows

NAMES = (
    *("stamps", "fashion-mnist", "easy-vqa", "state-of-the-union", "tang-poems", "emoji"),
    "openclipart",
)
LETTERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
SIDES = {"train": 6, "test": 3}
NO_PATH = {"no path": constantly(3, [1], {"a": 1}, 2.5, b"abc")}


# ---------------------------------------------------------------- small sets, tables and sounds


@cache
def scratch() -> Path:
    """A folder that goes when Python ends."""
    folder = tempfile.TemporaryDirectory()
    scratch.kept = folder
    return Path(folder.name)


def fresh(random: Random | None = None, sizes: object = None) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch()))


def tone(seconds: float = 0.3) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 200 * np.arange(int(seconds * 16_000)) / 16_000)


@cache
def weights_file() -> Path:
    file = scratch() / "x.gguf"
    file.write_bytes(ggufs.gguf({"n": 3}, {"x": ggufs.f32(np.arange(3)[None])}))
    return file


@cache
def home() -> Path:
    """A cache folder with three small sets in it."""
    root = scratch() / "cache"
    for name in NAMES:
        unpacked, source = fresh(), sets.SETS[name]
        _FILES[name](unpacked)
        kept = root / name / f"0-{source.form}"
        kept.mkdir(parents=True)
        says = sets.import_module(source.prepare).prepare(unpacked, kept)
        about = {"packages": ["small 1"], "licence": source.licence, "says": says}
        about |= {"folder": kept.name, "form": source.form, "files": sets._listed(kept)}
        (root / name / "set.json").write_text(json.dumps(about))
    return root


def _stamps(folder: Path) -> None:
    for name, data in debs.stamps(6).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for ending in ("", "_desc_de", "_desc_zh_CN"):
        soundfile.write(folder / f"animals/thing1{ending}.wav", tone(), 16_000)


def _clothes(folder: Path) -> None:
    import gzip

    for split, theirs in (("train", "train"), ("test", "t10k")):
        n = SIDES[split]
        header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4) for size in (n, 28, 28))
        images = np.random.default_rng(n).integers(256, size=(n, 28, 28), dtype=np.uint8)
        (folder / f"{theirs}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(header + images.tobytes())
        )
        header = bytes([0, 0, 8, 1]) + n.to_bytes(4)
        (folder / f"{theirs}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(header + bytes(range(n)))
        )


def _questions(folder: Path) -> None:
    for split, n in SIDES.items():
        (folder / split / "images").mkdir(parents=True)
        for i in range(n):
            picture = debs.png(i, "RGB", (64, 64))
            (folder / split / "images" / f"{i}.png").write_bytes(picture)
        rows = [["is there a circle?", "no", i] for i in range(n) for _ in range(2)]
        (folder / split / "questions.json").write_text(json.dumps(rows))


def _addresses(folder: Path) -> None:
    for year in range(1790, 1800):
        said = {"year": year, "name": "A. B.", "party": "none", "text": f"It is {year}."}
        (folder / f"{year}_a_n.json").write_text(json.dumps(said))


def _poems(folder: Path) -> None:
    lines = ["".join(chr(0x4E00 + 10 * poet + k) for k in range(10)) for poet in range(10)]
    rows = [{"id": x, "author": x[:2], "title": "", "paragraphs": [x]} for x in lines]
    (folder / "poet.tang.0.json").write_text(json.dumps(rows))


def _emoji(folder: Path) -> None:
    """Eight concepts in two styles."""
    rows = [{"emoji": chr(0x1F600 + i), "group": "faces", "skintone": ""} for i in range(8)]
    (folder / "openmoji.json").write_text(json.dumps(rows))
    said = {row["emoji"]: {"tts": [f"face {i}"], "default": []} for i, row in enumerate(rows)}
    (folder / "annotations/en").mkdir(parents=True)
    text = json.dumps({"annotations": {"annotations": said}})
    (folder / "annotations/en/annotations.json").write_text(text)
    for style in emoji_archive.STYLES:
        (folder / style).mkdir()
    for i in range(8):
        for style in ("google", "twitter"):
            (folder / style / f"{0x1F600 + i:x}.png").write_bytes(debs.png(i, "RGB"))


def _drawings(folder: Path) -> None:
    """Sixteen drawings of eight authors, the second of each a copy of the first."""
    for i in range(16):
        rows = [row for row in range(4) if (i // 2 + 1) >> row & 1]  # the number in stripes
        body = "".join(f'<rect y="{5 * row}" width="40" height="5"/>' for row in rows)
        data = debs.clip_art(f"Thing {LETTERS[i // 2]}", ["thing"], f"A{i // 2}", body)
        (folder / f"{i:02}.svg").write_bytes(data)


_FILES = {
    "stamps": _stamps,
    "fashion-mnist": _clothes,
    "easy-vqa": _questions,
    "state-of-the-union": _addresses,
    "tang-poems": _poems,
    "emoji": _emoji,
    "openclipart": _drawings,
}


@cache
def table(kind: str):
    """A table of the hub's kind, as `datasets` holds it."""
    import datasets

    columns = flickr_rows({"test": 4, "train": 3, "val": 2}) if kind == "flickr" else vqa_rows(2)
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


@cache
def saved(kind: str) -> Path:
    import datasets

    datasets.disable_progress_bars()
    folder = scratch() / kind
    datasets.DatasetDict(validation=table(kind)).save_to_disk(folder)
    return folder


@cache
def processor():
    from transformers import CLIPImageProcessor, CLIPProcessor

    from tests.hub_standins import _clip_tokenizer

    size = {"height": 32, "width": 32}
    return CLIPProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size), _clip_tokenizer()
    )


# ------------------------------------------------------------------------------- kinds of values


def path(make) -> Kind:
    """A path as a `Path`; nothing else will do where a string would not."""
    return given(
        lambda random, sizes: make(),
        bad={"no path": constantly(None, 3, [1], {"a": 1}, 2.5, b"abc")},
    )


def root() -> Kind:
    return Kind(
        lambda random, sizes: home(),
        bad=NO_PATH,
        same={"string": lambda random, x: str(x)},
    )


def picture(mode: str = "RGB") -> Kind:
    """A PNG of one colour."""

    def good(random: Random, sizes: object) -> bytes:
        colour = tuple(random.randrange(256) for _ in range(3))
        written = io.BytesIO()
        Image.new(mode, (random.randint(2, 9), random.randint(2, 9)), colour).save(written, "PNG")
        return written.getvalue()

    return Kind(good, bad={"no bytes": constantly(None, "abc", 3, [1], {"a": 1})})


def colour_of(data: bytes) -> tuple[int, ...]:
    return Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0))


def height_and_width() -> Kind:
    return Kind(
        lambda random, sizes: (random.randint(1, 9), random.randint(1, 9)),
        bad={
            "no pair": constantly(3, (4,), (4, 5, 6), "ab", {"a": 1}, (2.5, 3), ("4", "5")),
            "too small": constantly((0, 4), (4, -1)),
        },
    )


def of_one_colour(value: Tensor, a: SimpleNamespace) -> bool:
    wanted = torch.tensor(colour_of(a.data)).view(3, 1, 1).expand(-1, *a.size)
    return torch.equal(value, wanted.to(torch.uint8))


def picture_paths(random: Random, sizes: object) -> list[str]:
    folder = scratch() / "pictures"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{random.getrandbits(31)}.png" for _ in range(random.randint(1, 3))]
    for path in paths:
        path.write_bytes(picture().good(random, None))
    return [*map(str, paths)]


def the_kept_pictures(value: Tensor, a: SimpleNamespace) -> bool:
    read = [pictures.read_picture(Path(path).read_bytes(), a.size) for path in a.paths]
    return torch.equal(value, torch.stack(read))


def data_set(**columns) -> Kind:
    """A `Dataset` of these columns, each made by a function of the random numbers."""

    def good(random: Random, sizes: object) -> Dataset:
        return Dataset({name: make(random) for name, make in columns.items()})

    return given(good)


def words(random: Random, n: int = 3) -> list[str]:
    return [random.choice("abcdef") * random.randint(1, 3) for _ in range(n)]


def images(random: Random) -> Tensor:
    pixels = np.random.default_rng(random.getrandbits(31)).integers(256, size=(3, 3, 48, 48))
    return torch.tensor(pixels, dtype=torch.uint8)


def rate() -> Kind:
    return dataclasses.replace(
        count(), good=lambda random, sizes: random.choice([8_000, 11_025, 16_000])
    )


def sound(seconds: float) -> Kind:
    def make(random: Random, sizes: object) -> Tensor:
        return torch.tensor(tone(seconds) * random.uniform(0.3, 1) + 0.1, dtype=torch.float32)

    return floats("T", make=make)


# --------------------------------------------------------------------------------- what holds


def the_rows(split: str, n: int | None, of: int) -> int:
    return SIDES[split] * of if n is None else n


def right_clothes(value: Dataset, a: SimpleNamespace) -> bool:
    n = the_rows(a.split, a.n, 1)
    label, image = value.column("label"), value.column("image")
    right = np.random.default_rng(SIDES[a.split]).integers(
        256, size=(SIDES[a.split], 28, 28), dtype=np.uint8
    )
    grey = all(np.array_equal(image[:, c].numpy(), right[:n]) for c in range(3))
    return label.tolist() == list(range(n)) and grey


def right_questions(value: Dataset, a: SimpleNamespace) -> bool:
    pictures = {"train": (0, 5), "val": (5, 6), "test": (0, 3)}[a.split]
    ids = [i for i in range(*pictures) for _ in range(2)][: a.n]
    return (
        value.column("image_id").tolist() == ids
        and set(value.column("answer")) == {"no"}
        and all(
            torch.equal(value.column("image")[row], value.column("image")[ids.index(i)])
            for row, i in enumerate(ids)
        )
    )


def right_stamps(value: Dataset, a: SimpleNamespace) -> bool:
    """The folds part all stamps, and pictures have the size asked for."""
    options = {"fold": a.fold, "folds": a.folds, "seed": a.seed, "root": a.root}
    parts = [stamps.load(split, **options) for split in ("train", "test")]
    names = [part.column("name") for part in parts]
    whole = stamps.load("all", root=a.root).column("name")
    right = {"train": names[0], "test": names[1], "all": whole}[a.split]
    size = value.column("image").shape[1:] == (3, a.image_size, a.image_size)
    return size and value.column("name") == right and sorted(names[0] + names[1]) == sorted(whole)


def right_resampling(value: Tensor, a: SimpleNamespace) -> bool:
    """As long as it says, and linear."""
    double = sounds.resample(2 * a.x, a.source, a.target)
    length = math.ceil(len(a.x) * a.target / a.source)
    return len(value) == length and torch.allclose(double, 2 * value, atol=1e-5)


def right_measures(value: dict, a: SimpleNamespace) -> bool:
    pitch = abs(value["pitch"] - 200) < 5
    offset = math.isclose(value["offset"], 1000 * a.x.double().mean().item(), rel_tol=1e-4)
    return pitch and offset and value["floor"] <= value["level"] <= 0


def right_leaks(value: list, a: SimpleNamespace) -> bool:
    """Shared captions and equal pictures, found by a plain loop; other pictures are noise."""

    def shared(column: str, kind: str, same) -> list[tuple[str, str, str]]:
        ones, others = (
            [*zip(d.column("name"), d.column(column), strict=True)] for d in (a.one, a.other)
        )
        return [(x, y, kind) for x, one in ones for y, other in others if same(one, other)]

    expected = shared("caption", "caption", str.__eq__) + shared("image", "picture", torch.equal)
    return sorted(value) == sorted(expected)


def right_sounds(value: Dataset, a: SimpleNamespace) -> bool:
    most = int(a.seconds * sounds.RATE)
    whole = [torch.tensor(soundfile.read(p, dtype="float32")[0]) for p in a.data.column("path")]
    return all(
        0 < len(x) <= most and (a.part != "all" or torch.equal(x, w[:most]))
        for x, w in zip(value.column("audio"), whole, strict=True)
    )


def the_paths(random: Random) -> list[str]:
    folder = home() / "stamps" / f"0-{sets.SETS['stamps'].form}" / "sounds/animals"
    return [str(path) for path in sorted(folder.glob("*.wav"))]


# ---------------------------------------------------------------------------------- archives


FILES = {"thing/a.txt": b"one", "thing/b/c.png": b"two", "other/d.txt": b"three"}


@cache
def wheel() -> Path:
    file = scratch() / "x.whl"
    with zipfile.ZipFile(file, "w") as out:
        for name, data in FILES.items():
            out.writestr(name, data)
    return file


def wanted(random: Random, sizes: object) -> registry.Package:
    endings = random.choice([[".txt"], [".png"], [".txt", ".png"]])
    return registry.Package("npm", "x", "1", "", random.choice(["thing", "other"]), endings)


def read(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def square(value: np.ndarray, a: SimpleNamespace) -> bool:
    """The picture's colour, and white around it."""
    own = (value == colour_of(a.data)).all(-1)
    return value.shape == (a.side, a.side, 3) and own.any() and (value[~own] == 255).all()


def unpacked(value: object, a: SimpleNamespace) -> bool:
    right = {
        name.removeprefix(f"{a.package.inside}/"): data
        for name, data in FILES.items()
        if name.startswith(a.package.inside) and name.endswith(tuple(a.package.endings))
    }
    return value == "1" and read(a.folder) == right


def entered(folder):
    """What lies in `folder` while it is held."""
    with fetch_cache.exclusive(folder):
        return [path.name for path in Path(folder).iterdir()]


def offline(seconds):
    from huggingface_hub import constants

    with mock.patch.object(constants, "HF_HUB_OFFLINE", True):
        return preprocess.hub_reachable(seconds)


def reached():
    said = io.StringIO()
    with redirect_stdout(said), preprocess.say_if_unreachable():
        raise preprocess.HubUnreachableError("nobody/table")
    return said.getvalue()


def quietly(name, root, package):
    with redirect_stdout(io.StringIO()):
        return sets.get(name, root=root, package=package)


def prepared(value: dict, a: SimpleNamespace) -> bool:
    image = value["image"].shape == (3, 32, 32) and value["image"].dtype == torch.uint8
    expected = a.processor.tokenizer(
        a.example["caption"], truncation=True, max_length=a.max_length
    )["input_ids"]
    return image and value["tokens"].tolist() == expected


def unless_none(most: int) -> Kind:
    """A count that may be None: all."""
    kind = count(most=most)
    return kind.but(**{"no number": constantly("1", [1], float("nan"), {"a": 1}, 1j)})


ENTRIES = [
    entry(
        archive.safe_name,
        name=text(lambda random: f"a/{random.randrange(9)}.png").but(
            unsafe=constantly("../a", "/etc/passwd", "a\\b", "C:a", "a\nb")
        ),
        holds=lambda v, a: v == str(PurePosixPath(a.name)),
    ),
    entry(
        archive.unpack,
        path=path(wheel),
        package=given(wanted),
        folder=path(fresh),
        holds=unpacked,
    ),
    entry(
        gguf.read_gguf,
        path=path(weights_file),
        holds=lambda v, a: v[0] == {"n": 3} and v[1]["x"].tolist() == [[0, 1, 2]],
    ),
    entry(fetch_cache.cache_dir, holds=lambda v, a: isinstance(v, Path) and v.is_absolute()),
    entry(entered, of=fetch_cache.exclusive, folder=path(fresh), holds=lambda v, a: v == [".lock"]),
    entry(
        quietly,
        of=sets.get,
        name=option(*NAMES),
        root=root(),
        package=given(lambda random, sizes: None, bad=NO_PATH),
        holds=lambda v, a: v == sets.located(a.name, a.root),
    ),
    entry(
        sets.located,
        name=option(*NAMES),
        root=root(),
        holds=lambda v, a: v.parent == home() / a.name and v.is_dir(),
    ),
    entry(
        sets.summary,
        name=option(*NAMES),
        root=root(),
        holds=lambda v, a: v.startswith(f"{a.name}: ") and "small 1; licence" in v,
    ),
    entry(
        sets.copy,
        name=option(*NAMES),
        source=root().but(**{"no path": path(fresh).bad["no path"]}),
        target=path(fresh),
        holds=lambda v, a: read(v) == read(sets.located(a.name, a.source)),
    ),
    entry(
        sets._fingerprint,
        folder=path(lambda: sets.located("easy-vqa", home())),
        holds=lambda v, a: (
            len(v) == 64 and v == sets._fingerprint(sets.copy("easy-vqa", home(), fresh()))
        ),
    ),
    entry(
        pictures.opened, data=picture(), holds=lambda v, a: v.getpixel((0, 0)) == colour_of(a.data)
    ),
    entry(
        pictures.read_picture,
        data=picture(),
        size=height_and_width(),
        holds=of_one_colour,
    ),
    entry(
        pictures.decode,
        data=picture(),
        side=count(most=9),
        holds=square,
    ),
    # ------------------------------------------------------------------------------------ real
    entry(
        picture_files.kept_pictures,
        paths=given(picture_paths, bad={"no paths": constantly(None, 3, "abc", [], [3], {"a": 1})}),
        size=height_and_width().but(none=constantly(None)),
        folder=root(),
        holds=the_kept_pictures,
    ),
    entry(
        fashion_mnist.load,
        split=option(*SIDES),
        n=unless_none(3).but(many=constantly(7, 10**9)),
        root=root(),
        holds=right_clothes,
    ),
    entry(
        easy_vqa.load,
        split=option("train", "val", "test"),
        n=unless_none(2).but(many=constantly(13, 10**9)),
        holdout=constant(1),
        root=root(),
        holds=right_questions,
    ),
    entry(
        partial(easy_vqa.load, "train"),
        of=easy_vqa.load,
        holdout=count(least=0, most=5).but(many=constantly(6, 10**9)),
        root=root(),
        holds=lambda v, a: len(v) == 2 * (6 - a.holdout),
    ),
    entry(
        stamps.load,
        split=option("all", "train", "test"),
        fold=count(least=0, most=1).but(many=constantly(2, 10**9)),
        folds=Kind(lambda random, sizes: 2, bad=count(least=2).bad),
        seed=count(least=0),
        image_size=count(most=224).but(many=constantly(225, 10**9)),
        root=root(),
        holds=right_stamps,
    ),
    entry(stamps.skipped, root=root(), holds=lambda v, a: v == {}),
    entry(
        stamps.leaks,
        one=data_set(name=words, caption=words, image=images),
        other=data_set(name=words, caption=words, image=images),
        holds=right_leaks,
    ),
    entry(sounds.resample, x=sound(0.05), source=rate(), target=rate(), holds=right_resampling),
    entry(sounds.measure, x=sound(0.2), holds=right_measures),
    entry(
        sounds.spoken,
        languages=texts("L", make=lambda random: random.choice(["de", "zh_CN"])).but(
            unknown=lambda random, x: ["tlh"]
        ),
        root=root(),
        holds=lambda v, a: (
            v.column("language") == list(a.languages)
            and set(v.column("name")) == {"animals/thing1"}
        ),
    ),
    entry(sounds.effects, root=root(), holds=lambda v, a: v.column("name") == ["animals/thing1"]),
    entry(
        sounds.with_audio,
        data=data_set(path=the_paths),
        seconds=number("(0, inf)"),
        part=option("all", "speech", "quietest"),
        holds=right_sounds,
    ),
    entry(
        sounds.first_words,
        captions=texts(),
        holds=lambda v, a: v == [c.lower().split()[0] for c in a.captions],
    ),
    entry(
        state_of_the_union.load,
        split=option(*documents.SPLITS),
        root=root(),
        holds=lambda v, a: (
            [f"It is {year}." for year in v.column("year").tolist()] == v.column("text")
            and len(v) == {"train": 8, "val": 1, "test": 1}[a.split]
        ),
    ),
    entry(
        tang_poems.load,
        split=option(*documents.SPLITS),
        root=root(),
        holds=lambda v, a: (
            v.column("text") == v.column("id")
            and len(v) == {"train": 8, "val": 1, "test": 1}[a.split]
        ),
    ),
    entry(
        emoji.load,
        split=option("all", "train", "val", "test"),
        style=option(*emoji_archive.STYLES[:2]).without("no option"),  # a list is none
        languages=constant(["en"]),
        root=root(),
        holds=lambda v, a: (
            len(v) == {"all": 8, "train": 6, "val": 1, "test": 1}[a.split]
            and v.column("caption") == [f"face {i}" for i in v.column("concept").tolist()]
        ),
    ),
    entry(
        openclipart.load,
        split=option("all", "train", "val", "test"),
        clean=option(True, False),
        root=root(),
        holds=lambda v, a: (
            len(v) == {"all": 8, "train": 6, "val": 1, "test": 1}[a.split] * (2 - a.clean)
            and set(v.column("fault")) == ({""} if a.clean else {"", "copy"})
        ),
    ),
    entry(emoji.available, root=root(), holds=lambda v, a: v == ["en"]),
    entry(
        documents.read,
        name=option("state-of-the-union", "tang-poems"),
        split=option(*documents.SPLITS),
        root=root(),
        holds=lambda v, a: v.name == f"{a.name}/{a.split}",
    ),
    # ------------------------------------------------------------------------------------- hub
    entry(
        flickr30k.load_flickr30k,
        source=path(lambda: saved("flickr")),
        split=option("train", "val", "validation", "test"),
        limit=unless_none(5),
        holds=lambda v, a: (
            len(v) == min(a.limit, {"train": 3, "test": 4}.get(a.split, 2))
            and v[0]["image"].dtype == torch.uint8
        ),
    ),
    entry(
        flickr30k.one_row_per_caption,
        dataset=data_set(
            captions=lambda random: [words(random, n) for n in (1, 3, 2)],
            group=lambda random: torch.tensor([4, 5, 6]),
        ),
        holds=lambda v, a: (
            v.column("caption") == [c for several in a.dataset.column("captions") for c in several]
            and v.column("group").tolist() == [4, 5, 5, 5, 6, 6]
        ),
    ),
    entry(
        flickr30k.ReadPicture,
        table=given(lambda random, sizes: table("flickr")),
        then={"example": given(lambda random, sizes: {"row": random.randrange(9)})},
        holds=lambda v, a: torch.equal(
            v["image"],
            torch.tensor(
                np.array(table("flickr")[a.example["row"]]["image"].convert("RGB"))
            ).permute(2, 0, 1),
        ),
    ),
    entry(
        flickr30k.open_folder,
        folder=path(lambda: saved("flickr")),
        holds=lambda v, a: list(v) == ["validation"] and len(v["validation"]) == 9,
    ),
    entry(
        flickr30k.undecoded,
        table=given(lambda random, sizes: table("flickr")),
        needed=texts("C", make=lambda random: random.choice(["image", "caption"]))
        .but(unknown=lambda random, x: ["needed"])
        .without("empty"),
        source=constant("here"),
        holds=lambda v, a: v[0]["image"]["bytes"][1:4] == b"PNG",
    ),
    entry(
        preprocess.checked_picture,
        name=constant("image"),
        image=Kind(
            lambda random, sizes: images(random)[0],
            bad=floats("C H W").bad
            | {"scaled": lambda random, x: x / 255, "last": lambda random, x: x.permute(1, 2, 0)},
        ).without("NaN", "infinite", "complex"),
        holds=lambda v, a: v is a.image,
    ),
    entry(
        offline,
        of=preprocess.hub_reachable,
        seconds=number("(0, inf)"),
        holds=lambda v, a: v is False,
    ),
    entry(preprocess.is_folder, source=path(fresh), holds=lambda v, a: v is True),
    entry(preprocess.need_hub_extra, holds=lambda v, a: v is None),
    entry(
        reached,
        of=preprocess.say_if_unreachable,
        holds=lambda v, a: v.startswith("nobody/table could not be reached; pass a local folder"),
    ),
    entry(
        preprocess.Preprocess,
        processor=given(lambda random, sizes: processor()),
        max_length=count(least=1, most=9),
        then={
            "example": given(
                lambda random, sizes: {
                    "image": images(random)[0],
                    "caption": " ".join(words(random)),
                },
                bad={"no example": constantly(None, "abc", 3, [1])},
            )
        },
        holds=prepared,
    ),
    entry(
        vqav2.load_vqav2,
        source=path(lambda: saved("vqa")),
        split=option("validation", "val"),
        limit=unless_none(5),
        holds=lambda v, a: (
            v.column("row").tolist() == list(range(a.limit))
            and v.column("answer")[0]
            == max(set(v.column("answers")[0]), key=v.column("answers")[0].count)
        ),
    ),
    entry(
        vqav2.ten_of_one_mind,
        dataset=data_set(type=words, answer=words, scene=lambda random: torch.arange(3)),
        holds=lambda v, a: (
            v.column("answers") == [[each] * 10 for each in a.dataset.column("answer")]
        ),
    ),
]

PREPARED = "reads what `fetch` has unpacked; damaged and hostile files stand in tests/data/real"
EXEMPT = {
    "mmtutor.data.fetch.registry.Package": "a line of packages.toml, validated by pydantic",
    "mmtutor.data.fetch.registry.Source": "a line of packages.toml, validated by pydantic",
    "mmtutor.data.fetch.client.download": "asks a package manager, played in tests/data/fetch",
    "mmtutor.data.hub.preprocess.open_table": "asks the hub; the loaders are its doors",
    "mmtutor.data.hub.vqav2.open_stream": "asks the hub; a stand-in stands in tests/data/hub",
    "mmtutor.data.hub.smollm2.prepare": PREPARED,
    "mmtutor.data.real.documents.entries": PREPARED,
    "mmtutor.data.real.documents.keep": PREPARED,
    "mmtutor.data.real.easy_vqa.prepare": PREPARED,
    "mmtutor.data.real.emoji_archive.prepare": PREPARED,
    "mmtutor.data.real.fashion_mnist.prepare": PREPARED,
    "mmtutor.data.real.openclipart_archive.prepare": PREPARED,
    "mmtutor.data.real.stamps_archive.prepare": PREPARED,
    "mmtutor.data.real.state_of_the_union.prepare": PREPARED,
    "mmtutor.data.real.tang_poems.prepare": PREPARED,
}
