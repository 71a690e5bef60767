"""Parts of `contrastive`: a residual CNN whose pictures are redrawn, texts as n-grams, adapting.

Knows pictures and texts of any language; knows nothing of losses or of what is held out.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data import Dataset, loader
from mmtutor.encoders.base import Encoded, check_pictures
from mmtutor.encoders.convolution import ResidualBlock
from mmtutor.models import DualEncoder, ProjectionHead

BUCKETS = 12_288  # that n-grams share; as many as the weights that travel with the book can hold


class ResidualCNN(nn.Module):
    """A convolution and four residual blocks: pictures become a grid of tokens.

    Args:
        width: channels after the first convolution, doubled by each block but the first.
        augment: of `Config`; changes pictures in training only.
    """

    modality = "image"

    def __init__(self, width: int = 32, augment: str = "none") -> None:
        super().__init__()
        checks.at_least(1, width=width)
        self.dim, self.augment = 8 * width, augment
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        steps = zip(sizes, sizes[1:], (1, 2, 2, 2), strict=False)
        self.blocks = nn.Sequential(*(ResidualBlock(*step) for step in steps))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of 16 -> tokens (B, N, D), row by row."""
        check_pictures(x, 16)
        x = restyled(x, self.augment) if self.training else x
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        return Encoded.of_grid(self.blocks(self.stem(x)))


def restyled(image: Tensor, augment: str) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] on white, each changed at random; white stays white."""
    checks.one_of(("none", "place", "colour", "style"), augment=augment)
    if augment == "none":
        return image
    x = _moved(image)
    if augment == "place":
        return x
    strength = 0.5 if augment == "style" else 0.15
    noise = torch.randn(len(x), 3, 3)
    mix = torch.eye(3) + strength / 2 * (noise - noise.mean(dim=2, keepdim=True))
    mix = mix.to(x)  # each row adds up to one, so that white stays white
    x = torch.einsum("bij,bjhw->bihw", mix, x)
    x = 1 - (1 - x) * (1 + strength * (2 * _each(x) - 1))  # fainter, or stronger
    if augment == "style":
        x = torch.where(_each(x) < 0.25, x.mean(dim=1, keepdim=True), x)  # grey
        edge = (F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1)).mean(1, keepdim=True)
        filled = torch.where(_each(x) < 0.6, x, torch.ones_like(x))
        outlined = filled * (1 - ((0.5 + _each(x)) * edge).clamp(0, 1))
        x = torch.where(_each(x) < 0.3, outlined, x)
    return x.clamp(0, 1)


def _each(x: Tensor) -> Tensor:
    """A number in [0, 1) for each picture, (B, 1, 1, 1)."""
    return torch.rand(len(x), 1, 1, 1).to(x)


def _moved(x: Tensor) -> Tensor:
    """Scaled by up to a quarter, turned by up to 14 degrees, shifted by up to 6 %."""
    angle, scale = (torch.rand(2, len(x)) * torch.tensor([[0.5], [0.4]])).unbind()
    angle, scale, shift = angle - 0.25, scale + 0.85, (torch.rand(len(x), 2) - 0.5) * 0.24
    sine, cosine = angle.sin() / scale, angle.cos() / scale
    rows = [cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]]
    grid = F.affine_grid(torch.stack(rows, 1).reshape(-1, 2, 3), list(x.shape), align_corners=False)
    return 1 - F.grid_sample(1 - x, grid.to(x), align_corners=False)


class NGrams:
    """Words as what they are made of: all runs of three and of four characters, by number.

    `"sun"` is `<su`, `sun`, `un>`, `<sun`, `sun>`, where `<` and `>` mark its ends; a run gets the
    number that its hash has. Words never read before share runs with words that were, and no
    language needs a vocabulary of its own (Bojanowski et al. 2017, section 3.2).
    """

    size = BUCKETS

    def encode(self, text: str) -> list[int]:
        """Numbers in [0, BUCKETS). A text without letters or digits gets number 0."""
        checks.instance(str, text=text)
        return [i for word in re.findall(r"\w+", text.casefold()) for i in _runs(word)] or [0]


@cache
def _runs(word: str) -> list[int]:
    marked = f"<{word}>"
    runs = [marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1)]
    return [crc32(run.encode()) % BUCKETS for run in runs]


class Described:
    """Adds `tokens`: of the name and the keywords in one language, in training not of all of them.

    Args:
        tokenizer: with `encode`.
        language: a code that the data was loaded with.
        drop: share of keywords left out, drawn anew whenever an example is read.
        keywords: whether there are any.
    """

    def __init__(
        self, tokenizer, language: str = "en", drop: float = 0.0, keywords=True, seed: int = 0
    ):
        checks.within("[0, 1]", drop=drop)
        self.encode = cache(tokenizer.encode)
        self.language, self.drop, self.keywords = language, drop, keywords
        self._random = np.random.default_rng(seed)

    def __call__(self, example: dict) -> dict:
        words = example["keywords"][self.language] if self.keywords else []
        kept = [word for word in words if self._random.random() >= self.drop]
        texts = [example["names"][self.language], *kept]
        numbers = [number for text in texts for number in self.encode(text)]
        return {**example, "tokens": torch.tensor(numbers)}


def standardised_head(in_dim: int, out_dim: int, hidden: int, dropout: float) -> nn.Sequential:
    """Two layers on features brought to mean 0 and deviation 1 over the training pictures."""
    head = ProjectionHead(in_dim, out_dim, hidden, dropout)
    return nn.Sequential(nn.BatchNorm1d(in_dim, affine=False), head)


def redrawn(data: Dataset) -> Dataset:
    """Rows with `restyled_features` twice, the second time with these for `image_features`."""
    if "restyled_features" not in data.columns:
        return data
    twice = data.subset([*range(len(data)), *range(len(data))])
    both = torch.cat([data.column("image_features"), data.column("restyled_features")])
    return twice.with_column("image_features", both)


def adapted(model: DualEncoder, pictures: Dataset) -> DualEncoder:
    """A copy whose batch normalisation has the statistics of other pictures.

    No name is needed, and no weight is changed (AdaBN, Li et al. 2016).
    """
    model = copy.deepcopy(model).eval()
    for module in (*model.image_encoder.modules(), *model.image_head.modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over batches
            module.train()
    with torch.no_grad():
        for batch in loader(pictures, 256, shuffle=True):
            model.encode_image(batch)
    return model.eval()
