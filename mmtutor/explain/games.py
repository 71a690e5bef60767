"""An example as a game: its parts are the players, and the score is what they win together.

Knows how patches of a picture and words of a text are taken away. LIME, SHAP and MM-SHAP differ
only in what they ask of the same game: they are `perturbation.py` and `shapley.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmtutor.data.batch import require
from mmtutor.explain.targets import Batch, Target, repeat, scores
from mmtutor.models.modes import evaluating

ROWS = 512  # examples that go through the model at once


@dataclass(frozen=True)
class Game:
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
        return len(self.owners)

    @property
    def batch(self) -> int:
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


def game(
    model: nn.Module,
    batch: Batch,
    target: Target,
    image: int = 4,
    words: bool = True,
    fill: Tensor | float | None = None,
    unknown: int = 1,
) -> Game:
    """Patches of the picture first, row by row, then the words.

    Args:
        image: rows and columns of patches; 1 = the picture as a whole, 0 = it always stays.
        words: every word is a player; False = the text always stays.
        fill: what stands in place of a patch: see `filler`.
        unknown: the token id that stands in place of a word.

    Raises:
        KeyError: the batch lacks a modality. ValueError: there is no player.
    """
    length = batch["tokens"].shape[1] if words and require(batch, "tokens") is None else 0
    owners = ("image",) * image**2 + ("tokens",) * length
    return _game(model, batch, target, owners, image, torch.arange(length), fill, unknown)


def modality_game(
    model: nn.Module,
    batch: Batch,
    target: Target,
    fill: Tensor | float | None = None,
    unknown: int = 1,
) -> Game:
    """Two players: the whole picture, and the whole text."""
    require(batch, "tokens")
    seats = torch.zeros(batch["tokens"].shape[1], dtype=torch.int64)
    return _game(model, batch, target, ("image", "tokens"), 1, seats, fill, unknown)


def filler(images: Tensor, fill: Tensor | float | None = None) -> Tensor:
    """What a pixel becomes when it is taken away, to broadcast against images (B, 3, H, W).

    None gives each picture's median colour (B, 3, 1, 1): on a plain ground, the ground. A number or
    a tensor stands for itself. There is no neutral choice: black is a colour too.
    """
    if fill is None:
        return images.flatten(2).median(dim=2).values[:, :, None, None]
    return torch.as_tensor(fill).to(images).expand_as(images)


def cells(images: Tensor, rows: int) -> Tensor:
    """Which of rows * rows patches each pixel of (B, 3, H, W) belongs to: (H, W) int64."""
    height, width = images.shape[-2:]
    if not 0 < rows <= min(height, width):
        raise ValueError(f"{rows} rows of patches do not fit into pictures of {height} x {width}")
    down, across = (torch.arange(size) * rows // size for size in (height, width))
    return (down[:, None] * rows + across).to(images.device)


def paint(values: Tensor, images: Tensor) -> Tensor:
    """Values of patches (B, rows * rows) as maps (B, H, W), constant within a patch."""
    rows = round(values.shape[1] ** 0.5)
    return values[:, cells(images, rows).flatten()].unflatten(1, images.shape[-2:])


def _game(
    model: nn.Module,
    batch: Batch,
    target: Target,
    owners: tuple[str, ...],
    image: int,
    seats: Tensor,
    fill: Tensor | float | None,
    unknown: int,
) -> Game:
    """`seats` (L,): which player among the text's each word is."""
    if not owners:
        raise ValueError("a game needs a player: patches (image > 0) or words")
    patches = image**2
    real = _real(batch, patches, seats)

    def play(present: Tensor) -> Tensor:
        present = present.to(next(iter(batch.values())).device)
        times = len(present) // len(real)
        many = {name: value.repeat(times, *[1] * (value.ndim - 1)) for name, value in batch.items()}
        if patches:
            picture = batch["image"]
            shown = present[:, cells(picture, image).flatten()].unflatten(1, picture.shape[-2:])
            ground = filler(picture, fill).repeat(times, 1, 1, 1)
            many["image"] = many["image"].where(shown.unsqueeze(1), ground)
        if len(seats):
            said = present[:, patches:][:, seats.to(present.device)]
            many["tokens"] = many["tokens"].where(said, torch.full_like(many["tokens"], unknown))
        with evaluating(model), torch.no_grad():
            return scores(model, many, repeat(target, times))

    return Game(play, owners, real)


def _real(batch: Batch, patches: int, seats: Tensor) -> Tensor:
    """(B, n) bool: all patches, and who has a real word."""
    size = len(next(iter(batch.values())))
    pictured = torch.ones(size, patches, dtype=torch.bool)
    if not len(seats):
        return pictured
    mask = batch.get("tokens_mask", torch.ones_like(batch["tokens"])).bool().cpu()
    sits = seats[:, None] == torch.arange(int(seats.max()) + 1)  # [L, players of the text]
    return torch.cat([pictured, (mask.unsqueeze(2) & sits).any(dim=1)], dim=1)
