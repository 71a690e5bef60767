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
    """Names and keywords, each with a short vector of its picture; `of` makes one.

    Args:
        names: N of them.
        keywords: N lists, that may be empty.
        mean, axes, vectors: (F,), (F, S) and (N, S): how `directions` are made short, and the short
            vectors of the pictures.

    Raises ValueError for other numbers of names, keywords and vectors.
    """

    def __init__(
        self,
        names: Sequence[str],
        keywords: Sequence[Sequence[str]],
        mean: Tensor,
        axes: Tensor,
        vectors: Tensor,
    ) -> None:
        super().__init__()
        checks.same_length(names=names, keywords=keywords, vectors=vectors)
        self.names, self.keywords = list(names), list(keywords)
        for name, value in {"mean": mean, "axes": axes, "vectors": vectors}.items():
            self.register_buffer(name, value)

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        keywords: Sequence[Sequence[str]],
        cells: Tensor,
        size: int = 128,
    ) -> Memory:
        """A memory of pictures (N, n, D), by their first `size` principal components, at most N.

        An axis is shrunk by the root of its spread, so that the first do not decide alone. Raises
        ValueError for other numbers of names, keywords and pictures, or a size below 1.
        """
        checks.same_length(names=names, keywords=keywords, cells=cells)
        checks.at_least(1, size=size)
        found = directions(cells)
        _, spread, axes = torch.pca_lowrank(found, min(size, *found.shape), niter=4)
        mean, axes = found.mean(0), axes / spread.sqrt().clamp(min=1e-3)
        return cls(names, keywords, mean, axes, _short(found, mean, axes))

    def recall(self, cells: Tensor, never: Tensor | None = None) -> list[str]:
        """Of each picture (B, n, D) the `NAMES` most similar names, most similar first, and the
        `WORDS` keywords that are most frequent among the pictures of these names.

        Args:
            never: (B, N) bool: which of the N pictures kept must not be recalled.
        """
        found = directions(cells.to(self.mean.device))
        alike = _short(found, self.mean, self.axes) @ self.vectors.T
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


def _short(found: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    """Directions (N, F) -> (N, S), of length 1."""
    return F.normalize((found - mean) @ axes, dim=1)
