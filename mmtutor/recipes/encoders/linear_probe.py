"""How good are frozen features? A linear layer on them says it: pieces for the chapter on images.

Knows the categories of `stamps` as a task, and features of a frozen EfficientNet-Lite0 under any
preprocessing. The training is `common.classifier`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmtutor.data import Dataset, load
from mmtutor.data.splits import fold_of
from mmtutor.encoders import EfficientNetLite0
from mmtutor.encoders.pretrained import PIXEL_MEAN, PIXEL_SCALE


def categories(image_size: int = 128) -> tuple[Dataset, list[str]]:
    """All stamps with a column `label` int64, and the names of its classes.

    `fold` int64 in 0..4 is there too: pictures that share a caption, or nearly a picture, are in
    one fold.
    """
    data = load("stamps", "all", image_size=image_size)
    names = sorted(set(data.column("category")))
    label = torch.tensor([names.index(name) for name in data.column("category")])
    group = data.column("group")
    fold = torch.from_numpy(fold_of(group.tolist(), data.column("name")))
    columns = {"image": data.column("image"), "label": label, "group": group, "fold": fold}
    return Dataset(columns, name="stamps categories"), names


def normalised(image: Tensor) -> Tensor:
    """What EfficientNet-Lite0 was trained on: uint8 pixels -> (pixel - 127) / 128."""
    return (image.float() / 255 - PIXEL_MEAN) / PIXEL_SCALE


@torch.no_grad()
def features(
    tower: EfficientNetLite0,
    images: Tensor,
    prepare: Callable[[Tensor], Tensor] = normalised,
    batch_size: int = 32,
) -> Tensor:
    """Pooled features (N, 1280) of pictures (N, 3, S, S) uint8; `prepare` makes network input."""
    inputs = (prepare(batch) for batch in images.split(batch_size))
    last = (batch.contiguous(memory_format=torch.channels_last) for batch in inputs)  # faster
    return torch.cat([tower.network.features(batch).mean(dim=(2, 3)) for batch in last])
