"""The hub: whether it can be reached, and how a checkpoint wants its pictures and texts.

Knows folders, caches and networks, and the processors of `transformers`. Does not know any table or
model. Optional libraries are imported only where they are used.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmtutor.checks import at_least, instance, shaped, within
from mmtutor.data.dataset import Example

if TYPE_CHECKING:
    from transformers import ProcessorMixin

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
PROBE_SECONDS = 4.0
# A tokenizer's option: what looks like a special token in a reader's text is text.
PLAIN = {"split_special_tokens": True}


class HubUnreachableError(ConnectionError):
    """A model or a table on the hub could not be reached, and no copy of it is cached."""

    def __init__(self, source: str | Path) -> None:
        super().__init__(
            f"{source} could not be reached; pass a local folder, or try again with a network"
        )


def is_folder(source: str | Path) -> bool:
    """True for a local folder, False for a hub id. Raises FileNotFoundError for what is neither."""
    instance((str, Path), source=source)
    if Path(source).expanduser().is_dir():
        return True
    if not HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"{source} is neither a local folder nor a hub id 'owner/name'")
    return False


def hub_reachable(seconds: float = PROBE_SECONDS) -> bool:
    """Whether the hub answers within `seconds`, whatever it answers. Proxies are honoured."""
    from huggingface_hub import constants

    within("(0, inf)", seconds=seconds)
    if constants.HF_HUB_OFFLINE:
        return False
    answered: list[bool] = []
    probe = Thread(target=_probe, args=(constants.ENDPOINT, seconds, answered), daemon=True)
    probe.start()  # a thread, because no timeout covers a name server that stays silent
    probe.join(seconds)
    return bool(answered)


def need_hub_extra() -> None:
    """ImportError, saying what to install, unless `datasets` and `transformers` are there."""
    missing = [name for name in ("datasets", "transformers") if find_spec(name) is None]
    if missing:
        install = 'pip install "mmtutor[hub]"'
        raise ImportError(f"{' and '.join(missing)} not installed; hub scale needs {install}")


def open_table(source: str | Path, **options: Any) -> Any:
    """What `datasets.load_dataset` makes of a folder of parquet files or of a table on the hub.

    Raises HubUnreachableError at once where `datasets` would try again and again; ImportError.
    """
    need_hub_extra()
    import datasets
    from huggingface_hub import constants

    if not (is_folder(source) or constants.HF_HUB_OFFLINE or hub_reachable()):
        raise HubUnreachableError(source)
    try:
        return datasets.load_dataset(Path(source).expanduser().as_posix(), **options)
    except ConnectionError as error:
        raise HubUnreachableError(source) from error


@contextmanager
def say_if_unreachable() -> Iterator[None]:
    """Run a block that needs the hub; without it, print one sentence and go on after the block."""
    try:
        yield
    except HubUnreachableError as error:
        print(error)


class Preprocess:
    """What a checkpoint was trained on: `image` resized and cropped, `caption` as `tokens` (L,).

    Pictures stay uint8, for a `Batch` holds pictures in [0, 1]: the model subtracts the mean.
    Fields that an example lacks are left alone. The name of a special token in a caption, such as
    "<|endoftext|>", is read as any other text.

    Args:
        processor: the checkpoint's image processor and tokenizer.
        max_length: longest sequence of tokens, special tokens included; longer ones are cut.
        pad: fill up to `max_length` with the tokenizer's own padding (SigLIP reads the padding).

    Raises:
        TypeError: `processor` is none, a picture is not uint8, or a caption is no string.
        ValueError: a length below 1, or a picture that is not (3, H, W).
    """

    def __init__(self, processor: ProcessorMixin, max_length: int, pad: bool = False) -> None:
        at_least(1, max_length=max_length)
        if not (hasattr(processor, "image_processor") and hasattr(processor, "tokenizer")):
            kind = type(processor).__name__
            raise TypeError(f"processor must have an image processor and a tokenizer, got a {kind}")
        self.processor = processor
        self.max_length = max_length
        self.pad = "max_length" if pad else False

    def __call__(self, example: Example) -> Example:
        instance(dict, example=example)
        ready = dict(example)
        if "image" in example:
            checked_picture("image", example["image"])
            as_it_is = {"do_rescale": False, "do_normalize": False, "return_tensors": "pt"}
            sized = self.processor.image_processor(images=[example["image"]], **as_it_is)
            ready["image"] = sized["pixel_values"][0]
        if "caption" in example:
            instance(str, caption=example["caption"])
            cut = PLAIN | {"truncation": True, "max_length": self.max_length, "padding": self.pad}
            ids = self.processor.tokenizer(example["caption"], **cut)["input_ids"]
            ready["tokens"] = torch.tensor(ids)
        return ready


def checked_picture(name: str, image: Tensor) -> Tensor:
    """`image`, which must be uint8 (3, H, W): TypeError or ValueError otherwise, naming it."""
    shaped(**{name: (image, "3 H W")})
    if image.dtype != torch.uint8:
        dtype = str(image.dtype).removeprefix("torch.")
        raise TypeError(f"{name} must be uint8, with values from 0 to 255, got {dtype}")
    return image


def _probe(address: str, seconds: float, answered: list[bool]) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds)
    except urllib.error.HTTPError:
        pass  # an error from the hub is an answer
    except OSError:
        return
    answered.append(True)
