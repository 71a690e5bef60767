"""Data at hub scale: Flickr30k through `datasets`, prepared by a checkpoint's own processor.

Knows whether the hub can be reached, the columns and splits of a Flickr30k table, how to read its
pictures safely one at a time, and how to turn an example into what a checkpoint was trained on.
Does not know any model. `datasets` and `transformers` are imported only where they are used.
"""

from __future__ import annotations

import io
import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mmtutor.data.dataset import Dataset, Example
from mmtutor.data.pictures import MAX_PIXELS, PictureError

if TYPE_CHECKING:
    import datasets
    from transformers import ProcessorMixin

FLICKR30K = "nlphuji/flickr30k"
PARQUET = "refs/convert/parquet"  # the branch of plain tables; `datasets` 4 runs no loading script
SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PROBE_SECONDS = 4.0


class HubUnreachableError(ConnectionError):
    """A model or a table on the hub could not be reached, and no copy of it is cached."""

    def __init__(self, source: str | Path) -> None:
        super().__init__(
            f"{source} could not be reached; pass a local folder, or try again with a network"
        )


def hub_available(source: str | Path) -> bool:
    """Whether loading `source` can be tried: a local folder, a cached copy, or a hub that answers.

    Takes at most a few seconds without a network, and none where `HF_HUB_OFFLINE` is set. The
    hub's address is `HF_ENDPOINT`, for readers who need a mirror.
    """
    return is_folder(source) or _cached(source) or hub_reachable()


def is_folder(source: str | Path) -> bool:
    """True for a local folder, False for a hub id. Raises FileNotFoundError for what is neither."""
    if Path(source).expanduser().is_dir():
        return True
    if not HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"{source} is neither a local folder nor a hub id 'owner/name'")
    return False


def hub_reachable(seconds: float = PROBE_SECONDS) -> bool:
    """Whether the hub answers within `seconds`, whatever it answers. Proxies are honoured."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    answered: list[bool] = []
    probe = Thread(target=_probe, args=(constants.ENDPOINT, seconds, answered), daemon=True)
    probe.start()  # a thread, because no timeout covers a name server that stays silent
    probe.join(seconds)
    return bool(answered)


@contextmanager
def say_if_unreachable() -> Iterator[None]:
    """Run a block that needs the hub; without it, print one sentence and go on after the block."""
    try:
        yield
    except HubUnreachableError as error:
        print(error)


def load_flickr30k(
    source: str | Path = FLICKR30K,
    split: str = "test",
    *,
    limit: int | None = None,
    revision: str | None = PARQUET,
) -> Dataset:
    """One split of Flickr30k (Young et al. 2014), an example an image, pictures read on demand.

    The splits are those of Karpathy and Fei-Fei (2015): 29,000, 1,014 and 1,000 images. Columns:
    `row` int64 (row of the table), `captions` list[str] (five), `group` int64 (one number an image,
    so that all its captions are relevant to it), `name` str. The transform adds `image` uint8
    (3, H, W) of the picture's own size.

    Args:
        source: a hub id, or a local folder of parquet files or saved by `datasets`. The table has
            columns `image`, `caption`, optionally `img_id` or `filename`, and either a column
            `split` or one part a split.
        split: "train", "val" (or "validation") or "test".
        limit: keep only the first so many images.
        revision: branch of the hub's repository; not used for a folder.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id.
        ValueError: an unknown split, a missing column, or no rows.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected train, val or test")
    rows, table = _rows_of_split(_open(source, revision), SPLITS[split], source)
    if limit is not None:
        rows, table = rows[:limit], table.select(range(min(limit, len(table))))
    columns = {
        "row": torch.arange(len(table)),
        "captions": [
            _captions(value, row) for row, value in zip(rows, table["caption"], strict=True)
        ],
        "group": torch.tensor(rows),
        "name": _names(table, rows),
    }
    return Dataset(columns, ReadPicture(table), f"flickr30k {SPLITS[split]}")


def one_row_per_caption(dataset: Dataset) -> Dataset:
    """The same images once for each of their captions, with `caption` str in place of `captions`.

    `group` still numbers the image, so that captions of one image count as relevant to each other.
    """
    captions = dataset.column("captions")
    rows = [row for row, several in enumerate(captions) for _ in several]
    repeated = dataset.subset(rows)
    flat = [caption for several in captions for caption in several]
    columns = {key: value for key, value in repeated.columns.items() if key != "captions"}
    return Dataset({**columns, "caption": flat}, dataset.transform, dataset.name)


class ReadPicture:
    """Adds `image` uint8 (3, H, W), read from the table's row number `row`.

    The table stays on disk; only the picture asked for is decoded.
    """

    def __init__(self, table: datasets.Dataset) -> None:
        self.table = table

    def __call__(self, example: Example) -> Example:
        """Raises PictureError, naming the row, for a damaged or too large picture."""
        cell = self.table[int(example["row"])]["image"]
        try:
            data = cell["bytes"] or Path(cell["path"]).read_bytes()
            return {**example, "image": read_picture(data)}
        except (PictureError, OSError) as error:
            raise PictureError(f"picture {example.get('name', example['row'])}: {error}") from error


class Preprocess:
    """What a checkpoint was trained on: `image` resized and cropped, `caption` as `tokens`.

    Pictures stay uint8, for a `Batch` holds pictures in [0, 1]: the model subtracts the mean.
    Fields that an example lacks are left alone.

    Args:
        processor: the checkpoint's image processor and tokenizer.
        max_length: longest sequence of tokens, special tokens included; longer ones are cut.
        pad: fill up to `max_length` with the tokenizer's own padding (SigLIP reads the padding).
    """

    def __init__(self, processor: ProcessorMixin, max_length: int, pad: bool = False) -> None:
        self.processor = processor
        self.max_length = max_length
        self.pad = "max_length" if pad else False

    def __call__(self, example: Example) -> Example:
        ready = dict(example)
        if "image" in example:
            ready["image"] = self.picture(example["image"])
        if "caption" in example:
            ready["tokens"] = self.text(example["caption"])
        return ready

    def picture(self, image: Tensor) -> Tensor:
        """uint8 (3, H, W) of any size to uint8 of the checkpoint's size."""
        process = self.processor.image_processor
        raw = process(images=[image], do_rescale=False, do_normalize=False, return_tensors="pt")
        return raw["pixel_values"][0]

    def text(self, caption: str) -> Tensor:
        """Token numbers (L,) int64, with the special tokens."""
        cut = {"truncation": True, "max_length": self.max_length, "padding": self.pad}
        return torch.tensor(self.processor.tokenizer(caption, **cut)["input_ids"])


def read_picture(data: bytes) -> Tensor:
    """Decode a JPEG or PNG to uint8 (3, H, W), turned the right way up.

    Raises:
        PictureError: another format, a damaged file, or more than `MAX_PIXELS` pixels; the size is
            read from the header, before anything is decoded.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked just below
            picture = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{width} x {height} pixels are more than {MAX_PIXELS}")
        pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))  # [H, W, 3]
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"cannot be decoded: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()  # [3, H, W]


def _probe(address: str, seconds: float, answered: list[bool]) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds)
    except urllib.error.HTTPError:
        pass  # an error from the hub is an answer
    except OSError:
        return
    answered.append(True)


def _cached(source: str | Path) -> bool:
    """Whether the hub's cache holds something of this id, model or table."""
    from huggingface_hub import constants

    name = str(source).replace("/", "--")
    return any(
        Path(constants.HF_HUB_CACHE, f"{kind}--{name}", "snapshots").is_dir()
        for kind in ("models", "datasets")
    )


def _open(source: str | Path, revision: str | None) -> dict[str, datasets.Dataset]:
    """The parts of a table by name."""
    import datasets
    from huggingface_hub import constants

    if is_folder(source):
        folder = Path(source).expanduser()
        if any((folder / mark).exists() for mark in ("state.json", "dataset_dict.json")):
            parts = datasets.load_from_disk(str(folder))
        elif any(folder.rglob("*.parquet")):
            parts = datasets.load_dataset(str(folder))
        else:
            raise FileNotFoundError(f"{folder} holds no parquet file and no saved dataset")
        return parts if isinstance(parts, dict) else {"all": parts}
    if not constants.HF_HUB_OFFLINE and not hub_reachable():
        raise HubUnreachableError(source)  # at once: `datasets` would try again and again
    try:
        return datasets.load_dataset(str(source), revision=revision)
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        if constants.HF_HUB_OFFLINE or isinstance(error, ConnectionError):
            raise HubUnreachableError(source) from error
        raise


def _rows_of_split(
    parts: dict[str, datasets.Dataset], split: str, source: str | Path
) -> tuple[list[int], datasets.Dataset]:
    """Row numbers in the whole table, and those rows, with pictures not decoded."""
    import datasets

    table = datasets.concatenate_datasets(list(parts.values()))
    owner = [name for name, part in parts.items() for _ in range(len(part))]
    if "split" in table.column_names:
        owner = list(table["split"])
    missing = [name for name in ("image", "caption") if name not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise ValueError(f"{source} has no column {' and '.join(missing)}; it has {there}")
    rows = [row for row, name in enumerate(owner) if SPLITS.get(name, name) == split]
    if not rows:
        there = ", ".join(sorted(set(owner))) or "no rows"
        raise ValueError(f"{source} has no split {split!r} (a column or a part); it has {there}")
    raw = table.select(rows).cast_column("image", datasets.Image(decode=False))
    return rows, raw


def _captions(value: Any, row: int) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return value
    raise ValueError(f"caption of row {row} is {value!r}: expected a list of strings")


def _names(table: datasets.Dataset, rows: list[int]) -> list[str]:
    for name in ("filename", "img_id"):
        if name in table.column_names:
            return [str(value) for value in table[name]]
    return [f"row {row}" for row in rows]
