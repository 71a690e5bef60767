"""An example as a game: its parts are the players, and the score is what they win together.

Knows how patches of a picture and words of a text are taken away. LIME, SHAP and MM-SHAP differ
only in what they ask of the same game: they are `perturbation.py` and `shapley.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmtutor.data.batch import Batch, require
from mmtutor.data.tokenizer import UNKNOWN
from mmtutor.explain.targets import Target, scores
from mmtutor.models.modes import evaluating

ROWS = 512  # examples that go through the model at once


@dataclass(frozen=True)
class CoalitionGame:
    """B examples, each a game of the same n players.

    Attributes:
        play: present (R, n) bool, R = times * B rows, example by example within each repetition
            -> scores (R,).
        owners: the modality that each player belongs to, n names.
        batch: B.
        real: (B, n) bool, False where a player is only padding: it changes nothing.
    """

    play: Callable[[Tensor], Tensor]
    owners: tuple[str, ...]
    real: Tensor

    @property
    def players(self) -> int:
        """How many players: n."""
        return len(self.owners)

    @property
    def batch(self) -> int:
        """How many examples: B."""
        return len(self.real)

    def values(self, present: Tensor) -> Tensor:
        """Scores of coalitions: present (K, n) the same for all, or (K, B, n) -> (K, B)."""
        if present.ndim == 2:
            present = present.unsqueeze(1).expand(-1, self.batch, -1)
        if present.shape[1:] != (self.batch, self.players):
            raise ValueError(
                f"coalitions are {tuple(present.shape)}: expected (K, {self.batch}, {self.players})"
            )
        chunks = present.split(max(1, ROWS // self.batch))
        won = [self.play(chunk.flatten(0, 1)).unflatten(0, (-1, self.batch)) for chunk in chunks]
        return torch.cat(won)


def coalition_game(
    model: nn.Module,
    batch: Batch,
    target: Target,
    grid: int = 4,
    words: bool = True,
    fill: Tensor | float | None = None,
) -> CoalitionGame:
    """Patches of the picture are players, row by row, and then the words.

    In place of a word that is away stands the id of unknown words.

    Args:
        grid: rows and columns of patches; 1 = the picture as a whole, 0 = it always stays.
        words: every word is a player; False = the text always stays.
        fill: what stands in place of a patch: see `baseline_value`.

    Raises:
        KeyError: the batch lacks a modality. ValueError: there is no player.
    """
    require(batch, *["image"] * (grid > 0), *["tokens"] * words)
    real = torch.ones(len(next(iter(batch.values()))), grid**2, dtype=torch.bool)
    if words:
        mask = batch.get("tokens_mask", torch.ones_like(batch["tokens"]))
        real = torch.cat([real, mask.bool().cpu()], dim=1)
    owners = ("image",) * grid**2 + ("tokens",) * (real.shape[1] - grid**2)
    if not owners:
        raise ValueError("a game needs a player: patches (grid > 0) or words")

    def play(present: Tensor) -> Tensor:
        times = len(present) // len(real)
        many = {name: value.repeat(times, *[1] * (value.ndim - 1)) for name, value in batch.items()}
        present = present.to(next(iter(batch.values())).device)
        if grid:
            shown = present[:, _patches(batch["image"], grid)].unsqueeze(1)  # [R, 1, H, W]
            ground = baseline_value(batch["image"], fill).repeat(times, 1, 1, 1)
            many["image"] = many["image"].where(shown, ground)
        if words:
            said = many["tokens"]
            many["tokens"] = said.where(present[:, grid**2 :], torch.full_like(said, UNKNOWN))
        repeated = target.repeat(times) if hasattr(target, "repeat") else target
        with evaluating(model), torch.no_grad():
            return scores(model, many, repeated)

    return CoalitionGame(play, owners, real)


def baseline_value(images: Tensor, fill: Tensor | float | None = None) -> Tensor:
    """What a pixel becomes when it is taken away, to broadcast against images (B, 3, H, W).

    None gives each picture's median colour (B, 3, 1, 1): on a plain ground, the ground. A number or
    a tensor stands for itself. There is no neutral choice: black is a colour too.
    """
    if fill is None:
        return images.flatten(2).median(dim=2).values[:, :, None, None]
    return torch.as_tensor(fill).to(images).expand_as(images)


def _patches(images: Tensor, rows: int) -> Tensor:
    """Which of rows * rows patches each pixel of (B, 3, H, W) belongs to: (H, W) int64."""
    height, width = images.shape[-2:]
    if rows > min(height, width):
        raise ValueError(f"{rows} rows of patches do not fit into pictures of {height} x {width}")
    down, across = (torch.arange(size) * rows // size for size in (height, width))
    return (down[:, None] * rows + across).to(images.device)
