"""Pictures that were learned from, kept with their names: which of them does a new one resemble?

Knows cells of pictures, names and keywords. Knows no language model and no data set.

Method: Ramos et al. (2023), SmallCap: Lightweight Image Captioning Prompted with Retrieval
Augmentation, section 3. There similar pictures are found with CLIP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks

NAMES, WORDS = 3, 4  # recalled of a picture


def directions(cells: Tensor) -> Tensor:
    """Cells (N, n, D), not negative, as vectors of length 1, (N, n D): their products say what is
    alike. Roots keep a few large features from deciding alone."""
    return F.normalize(cells.float().sqrt().flatten(1), dim=1)


class Memory(nn.Module):
    """Names and keywords, each with a short vector of its picture.

    Args:
        names: N of them.
        keywords: N lists, that may be empty.
        cells: (N, n, D) of their pictures.
        size: numbers kept of a picture, its first principal components: at most N.

    Raises ValueError for other numbers of names, keywords and pictures, or a size below 1.
    """

    def __init__(
        self,
        names: Sequence[str],
        keywords: Sequence[Sequence[str]],
        cells: Tensor,
        size: int = 128,
    ) -> None:
        super().__init__()
        checks.same_length(names=names, keywords=keywords, cells=cells)
        checks.at_least(1, size=size)
        self.names, self.keywords, found = list(names), list(keywords), directions(cells)
        _, spread, axes = torch.pca_lowrank(found, min(size, *found.shape), niter=4)
        self.register_buffer("mean", found.mean(0))
        self.register_buffer("axes", axes / spread.sqrt().clamp(min=1e-3))
        self.register_buffer("vectors", self.short(cells))

    @classmethod
    def kept(
        cls, names: list[str], keywords: list[list[str]], buffers: dict[str, Tensor]
    ) -> Memory:
        """One whose buffers were stored."""
        checks.same_length(names=names, keywords=keywords, vectors=buffers["vectors"])
        memory = cls.__new__(cls)
        nn.Module.__init__(memory)
        memory.names, memory.keywords = names, keywords
        for key, value in buffers.items():
            memory.register_buffer(key, value)
        return memory

    def short(self, cells: Tensor) -> Tensor:
        """Cells (B, n, D) -> (B, size), of length 1. An axis is shrunk by the root of its spread,
        so that the first do not decide alone."""
        return F.normalize((directions(cells) - self.mean) @ self.axes, dim=1)

    def recall(self, cells: Tensor, never: Tensor | None = None) -> list[str]:
        """Of each picture (B, n, D) the `NAMES` most similar names, most similar first, and the
        `WORDS` keywords that are most frequent among the pictures of these names.

        Args:
            never: (B, N) bool: which of the N pictures kept must not be recalled.
        """
        alike = self.short(cells.to(self.mean.device)) @ self.vectors.T
        if never is not None:
            alike = alike.masked_fill(never, -torch.inf)
        nearest = alike.topk(min(10 * NAMES, len(self.names))).indices.tolist()
        return [self._told(rows) for rows in nearest]

    def _told(self, rows: list[int]) -> str:
        first = {self.names[row]: row for row in reversed(rows)}  # the nearest of each name
        kept = [*islice(dict.fromkeys(self.names[row] for row in rows), NAMES)]
        words = Counter(word for name in kept for word in self.keywords[first[name]])
        told = [", ".join(each) for each in (kept, [w for w, _ in words.most_common(WORDS)])]
        return "; ".join(filter(None, told))
