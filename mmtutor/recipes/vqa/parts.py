"""Parts of the VQA recipe: a CNN, pictures encoded once, batches by picture, and remedies for bias.

Knows rows of questions, several of which may be about one picture. Does not know a data set or how
a model is put together; `vqa` does.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from mmtutor.data import Dataset
from mmtutor.data.batch import collate
from mmtutor.encoders.base import Encoded
from mmtutor.encoders.image import conv_block, with_coordinates
from mmtutor.models import ClassifierOutput


class EdgeCNN(nn.Module):
    """A small CNN whose first kernels overlap, so that an edge is seen wherever it lies.

    Three strided convolutions and a residual one; channels that hold each pixel's coordinates are
    added to the picture and before the last. A token covers 8 x 8 pixels. Kernels that do not
    overlap (`SmallCNN`) are cheaper and learn colours as fast, but shapes much later.

    Args:
        dim: size D of a token.
        width: channels after the first convolution, twice that after the second.
    """

    modality = "image"

    def __init__(self, dim: int, width: int = 16) -> None:
        super().__init__()
        self.dim = dim
        self.stages = nn.Sequential(
            conv_block(5, width, kernel=5, stride=2, padding=2),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, stride=2),
        )
        self.mix = conv_block(dim + 2, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of 8 -> tokens (B, N, D), row by row."""
        x = with_coordinates(2 * x - 1).contiguous(memory_format=torch.channels_last)
        grid = self.stages(x)
        grid = grid + self.mix(with_coordinates(grid))
        tokens = grid.flatten(2).transpose(1, 2)  # [B, D, H', W'] -> [B, N, D]
        return Encoded(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool))


class Once(nn.Module):
    """An image encoder that encodes a picture once where it stands in several rows on end.

    The tokens are those of the encoder itself, but for batch statistics in training, which count
    each picture once. Where gradients of the pictures may be wanted it does nothing of its own.

    Args:
        encoder: of pictures (B, 3, H, W).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.modality, self.dim = encoder, encoder.modality, encoder.dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) -> what the encoder gives for B pictures."""
        if x.requires_grad or (torch.is_grad_enabled() and not self.training):
            return self.encoder(x, mask)
        new = torch.ones(len(x), dtype=torch.bool, device=x.device)
        new[1:] = (x[1:] != x[:-1]).flatten(1).any(dim=1)
        row = new.cumsum(dim=0) - 1  # which of the distinct pictures a row shows
        tokens, real = self.encoder(x[new])
        return Encoded(tokens.index_select(0, row), real[row])


class ByPicture(Sampler[int]):
    """All rows of one picture after those of another, in an order of pictures drawn anew each time.

    Args:
        image_id: (N,) int64, equal where the picture is.
        seed: draws the orders.
    """

    def __init__(self, image_id: Tensor, seed: int = 0) -> None:
        self.picture = image_id.unique(return_inverse=True)[1]
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.picture)

    def __iter__(self) -> Iterator[int]:
        place = torch.randperm(int(self.picture.max()) + 1, generator=self.generator)
        return iter(place[self.picture].argsort(stable=True).tolist())


def by_picture(data: Dataset, batch_size: int, seed: int = 0) -> DataLoader:
    """Shuffled batches for training; `data` has a column `image_id`."""
    sampler = ByPicture(data.column("image_id"), seed)
    return DataLoader(data, batch_size, sampler=sampler, collate_fn=collate)


def mirrored(data: Dataset) -> Dataset:
    """`data` followed by itself with left and right exchanged, for questions that do not mind."""
    pictures = data.column("image")
    turned = {id(picture): picture.flip(-1) for picture in pictures}
    ids, columns = data.column("image_id"), {}
    for name, values in data.columns.items():
        columns[name] = torch.cat([values, values]) if isinstance(values, Tensor) else values * 2
    columns["image"] = list(pictures) + [turned[id(picture)] for picture in pictures]
    columns["image_id"] = torch.cat([ids, ids + ids.max() + 1])
    return Dataset(columns, name=data.name)


def product_of_experts(output: ClassifierOutput, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of softmax(logits + log p), p what the question alone says of the answer.

    What the question gives away is already in p, so the logits have to say the rest; alone, they
    are used for testing. Source: Clark et al. 2019, bias product.

    Args:
        output: `logits` (B, C).
        batch: `label` (B,) int64 and `bias` (B, C), log p.
    """
    return F.cross_entropy(output.logits + batch["bias"], batch["label"])


def reweighted(output: ClassifierOutput, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy in which an answer that the question alone gives away counts for little.

    The weight of an example is 1 - p(answer | question) (Clark et al. 2019, reweight), and
    the loss is the weighted mean. Arguments as in `product_of_experts`.
    """
    label = batch["label"]
    weight = 1 - batch["bias"].gather(1, label.unsqueeze(1)).squeeze(1).exp()
    losses = F.cross_entropy(output.logits, label, reduction="none")
    return (weight * losses).sum() / weight.sum().clamp(min=1e-6)
