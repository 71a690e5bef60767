"""An example as a game: its parts are the players, and the score is what they win together.

Knows how patches of an image and words of a text are taken away. LIME, SHAP and MM-SHAP differ
only in what they ask of the same game: they are `perturbation.py` and `shapley.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.data.tokenizer import UNKNOWN
from mmtutor.encoders import base as encoders
from mmtutor.explain.targets import Target, broadcast, scores
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

    def __post_init__(self) -> None:
        checks.instance(Callable, play=self.play)
        owners, real = checks.listed(str, owners=self.owners), checks.as_mask(real=self.real)
        checks.same_length(owners=owners)
        checks.shaped(real=(real, f"B {len(owners)}"))
        object.__setattr__(self, "owners", tuple(owners))
        object.__setattr__(self, "real", real)

    @property
    def players(self) -> int:
        """How many players: n."""
        return len(self.owners)

    @property
    def batch(self) -> int:
        """How many examples: B."""
        return len(self.real)

    def values(self, present: Tensor) -> Tensor:
        """Scores of coalitions: present (K, n) the same for all, or (K, B, n) -> (K, B).

        Raises TypeError and ValueError for another shape, and for scores that are not finite.
        """
        present = checks.as_mask(present=present)
        if present.ndim == 2:
            present = present.unsqueeze(1).expand(-1, self.batch, -1)
        if present.shape[1:] != (self.batch, self.players):
            raise ValueError(
                f"present must be (K, {self.batch}, {self.players}), got {tuple(present.shape)}"
            )
        chunks = present.split(max(1, ROWS // self.batch))
        won = [self.play(chunk.flatten(0, 1)).unflatten(0, (-1, self.batch)) for chunk in chunks]
        won = torch.cat(won)
        checks.finite(**{"what the game pays": won})
        return won


def coalition_game(
    model: nn.Module,
    batch: Batch,
    target: Target,
    grid: int = 4,
    words: bool = True,
    fill: Tensor | float | None = None,
) -> CoalitionGame:
    """Patches of the image are players, row by row, and then the words.

    In place of a word that is away stands the id of unknown words.

    Args:
        grid: rows and columns of patches; 1 = the image as a whole, 0 = it always stays.
        words: every word is a player; False = the text always stays.
        fill: what stands in place of a patch: see `baseline_value`.

    Raises:
        KeyError: the batch lacks a modality. TypeError, ValueError: there is no player, or patches
            do not fit into the image.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    checks.at_least(0, grid=grid)
    grid = int(grid)
    real = _players(batch, grid, words)
    owners = ("image",) * grid**2 + ("tokens",) * (real.shape[1] - grid**2)
    if grid:
        _patches(batch["image"], grid)
        baseline_value(batch["image"], fill)
    if not isinstance(target, Tensor):
        checks.instance(Callable, target=target)

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


def _players(batch: Batch, grid: int, words: bool) -> Tensor:
    """(B, n) bool: the patches, all of them real, and then the words, of which padding is not."""
    require(batch, *["image"] * (grid > 0), *["tokens"] * words)
    if not grid and not words:
        raise ValueError("a game needs a player: patches (grid > 0) or words")
    patches = torch.ones(len(next(iter(batch.values()))), grid**2, dtype=torch.bool)
    if not words:
        return patches
    said = encoders.real(batch["tokens"], batch.get("tokens_mask"), "batch['tokens_mask']")
    return torch.cat([patches, said.cpu()], dim=1)


def baseline_value(images: Tensor, fill: Tensor | float | None = None) -> Tensor:
    """What a pixel becomes when it is taken away, to broadcast against images (B, 3, H, W).

    None gives each image's median colour (B, 3, 1, 1): on a plain ground, the ground. A number or
    a tensor stands for itself. There is no neutral choice: black is a colour too.
    Raises TypeError and ValueError for what is no image, or does not broadcast against it.
    """
    checks.shaped(images=(images, "B C H W"))
    checks.floating(images=images)
    checks.finite(images=images)
    if fill is None:
        return images.flatten(2).median(dim=2).values[:, :, None, None]
    return broadcast(images, fill=fill)


def _patches(images: Tensor, rows: int) -> Tensor:
    """Which of rows * rows patches each pixel of (B, 3, H, W) belongs to: (H, W) int64."""
    height, width = images.shape[-2:]
    if rows > min(height, width):
        raise ValueError(f"grid must fit into images of {height} x {width}, got {rows}")
    down, across = (torch.arange(size) * rows // size for size in (height, width))
    return (down[:, None] * rows + across).to(images.device)
