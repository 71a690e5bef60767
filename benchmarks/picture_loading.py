"""Loading pictures for training, from JPEG files and from what is kept, against others.

The photographs are coloured noise with the spectrum of natural pictures (an amplitude of one over
the frequency; Field 1987), and take as many bytes as those of COCO do: about 150 kB each. Pillow
decodes a JPEG at 1/2, 1/4 and 1/8 of its sides: 640 x 480 can be halved on the way to 224 x 224,
640 x 426 cannot, which a row shows. `stamps` are at their cached size in the PNG files, too, which
favours Pillow: the originals are larger, some are drawings, and all would have to be put on white.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Resize, ToTensor

from benchmarks.harness import Comparison
from mmtutor.data import Dataset, load, loader
from mmtutor.data.dataset import Example
from mmtutor.data.fetch.pictures import read_picture
from mmtutor.data.real.picture_files import kept_pictures

BATCH = 32
QUALITY = 85
CLOSE = 5 / 255  # mean absolute difference of a picture, of its range


def comparisons() -> Iterator[Comparison]:
    """Three rows of photographs and one of `stamps`."""
    yield from photographs()
    yield from stamps()


def photographs(
    count: int = 256, side: int = 224, width: int = 640, workers: int = 2, times: int = 4
) -> Iterator[Comparison]:
    """Both ways give every picture, in batches of float32 (B, 3, side, side).

    Each file is read `times` over, so that starting the workers is little of it.
    """
    size = (side, side)
    for height, at_most in ((width * 3 // 4, 1 / 1.5), (width * 2 // 3, None)):
        with TemporaryDirectory() as folder:
            paths = _write(Path(folder), count, height, width)
            yield Comparison(
                what=f"{times} times {count} JPEGs of {width} x {height} to {side} x {side}, "
                f"{workers} workers",
                peer="torchvision ImageFolder, Resize, ToTensor",
                ours=_loads(_dataset(paths * times, size), workers),
                theirs=_loads(ConcatDataset([_image_folder(folder, size)] * times), workers),
                same=_same,
                at_most=at_most,
                examples=times * count,
            )
            if at_most:
                yield _cached(folder, paths, size)


def _cached(folder: str, paths: list[Path], size: tuple[int, int]) -> Comparison:
    """The same pictures in the process itself, once they have been kept."""

    def ours() -> list[Tensor]:
        kept = kept_pictures(paths, size, Path(folder) / "kept")
        return _loads(Dataset({"image": kept}), 0)()

    return Comparison(
        what=f"{len(paths)} such JPEGs, kept at {size[0]} x {size[1]}",
        peer="Pillow decoding and resizing, by torchvision ImageFolder",
        ours=ours,
        theirs=_loads(_image_folder(folder, size), 0),
        same=_same,
        at_most=1 / 8,
        examples=len(paths),
    )


def stamps(limit: int | None = None) -> Iterator[Comparison]:
    """Both ways give every picture as uint8 (3, 224, 224)."""
    pictures = load("stamps", split="all").column("image")[:limit]
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)

        def ours() -> list[Tensor]:
            data = load("stamps", split="all")
            return [data[number]["image"] for number in range(len(paths))]

        yield Comparison(
            what=f"{len(paths)} pictures of `stamps`, opening the data set included",
            peer="Pillow decoding PNG files",
            ours=lambda: _stacked(ours()),
            theirs=lambda: _stacked([_from_png(path) for path in paths]),
            same=_same,
            at_most=1 / 8,
            examples=len(paths),
        )


def _stacked(pictures: list[Tensor]) -> list[Tensor]:
    return [torch.stack(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]


def _from_png(path: Path) -> Tensor:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))  # [H, W, 3]
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _dataset(paths: list[Path], size: tuple[int, int]) -> Dataset:
    def read(example: Example) -> Example:
        return {"image": read_picture(Path(example["path"]).read_bytes(), size)}

    return Dataset({"path": [str(path) for path in paths]}, read)


def _image_folder(folder: str, size: tuple[int, int]) -> ImageFolder:
    def jpeg(path: str) -> bool:
        return path.endswith(".jpg")

    return ImageFolder(folder, Compose([Resize(size), ToTensor()]), is_valid_file=jpeg)


def _loads(data: Dataset | TorchDataset, workers: int) -> Callable[[], list[Tensor]]:
    """Goes through all the data once; of every eighth row and column the pixels, to compare."""
    if not isinstance(data, Dataset):
        batches = DataLoader(data, BATCH, num_workers=workers)
        return lambda: [image[..., ::8, ::8].clone() for image, _ in batches]
    batches = loader(data, BATCH, workers=workers)
    return lambda: [batch["image"][..., ::8, ::8].clone() for batch in batches]


def _write(folder: Path, count: int, height: int, width: int) -> list[Path]:
    """A folder of one class, as ImageFolder wants it."""
    (folder / "photographs").mkdir()
    paths = [folder / "photographs" / f"{number:05}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(_photograph(number, height, width)).save(path, quality=QUALITY)
    return paths


def _photograph(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3]"""
    generator = np.random.default_rng(seed)
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    amplitude = 1 / np.maximum(np.hypot(down, right), 1 / width)
    phase = np.exp(2j * np.pi * generator.random((4, *amplitude.shape)))
    fields = np.fft.irfft2(amplitude * phase, (height, width))
    fields /= fields.std((1, 2), keepdims=True)
    colours = fields[0] + 0.4 * fields[1:]  # much light, a little colour
    return np.clip(128 + 50 * colours, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def _same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    """Close in the mean over a batch, and where nothing was resized (uint8), equal."""
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other) if one.dtype == torch.uint8 else _close(one, other)


def _close(one: Tensor, other: Tensor) -> bool:
    return (one - other).abs().mean() < CLOSE
