"""Spoiling pictures, texts and sounds by degrees: severity 1 (slight) to 5 (hard).

Knows uint8 pictures, strings and waveforms, and how to spoil a column of a `Dataset`. Does not know
models or what is measured on the spoiled data. Attacks, which look for the worst change, are
elsewhere (`evaluation.robustness`): a corruption does not look at any model.

What is random is drawn once from the seed and does not depend on the severity: a harder one is the
same noise, only louder; the same hole, only larger; the same words lost, and more of them. So
every example is spoiled more with every step (pixelated, whose squares may fall well or badly, most
are).

The idea of five severities, and most of the kinds for pictures: Hendrycks and Dietterich (2019).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms.v2.functional import gaussian_blur

from mmtutor import checks
from mmtutor.data.dataset import Column, Dataset
from mmtutor.data.tokenizer import HAN

SEVERITIES = (1, 2, 3, 4, 5)
FIELDS = {"image": "image", "text": "caption", "sound": "audio"}  # the column a modality is in

WORD = re.compile(rf"[{HAN}]|[^\s{HAN}]+")  # a Chinese character is a word of its own


# Pictures: float32 (N, 3, H, W) in [0, 1] -> the same, before the clamp.


def gaussian_noise(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Noise of standard deviation 0.08 to 0.38 on every pixel and channel."""
    checks.one_of(SEVERITIES, severity=severity)
    checks.floating(image=image)
    checks.within("[0, 1]", image=image)
    checks.instance(torch.Generator, generator=generator)
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return image + deviation * torch.randn(image.shape, generator=generator)


def _blur(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian blur of standard deviation 1.5 to 9 hundredths of the height; edges are mirrored."""
    deviation = (0.015, 0.025, 0.04, 0.06, 0.09)[severity - 1] * image.shape[-2]
    reach = min(int(3 * deviation) + 1, min(image.shape[-2:]) - 1)
    return gaussian_blur(image, [2 * reach + 1] * 2, [deviation] * 2)


def _contrast(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Every pixel is drawn towards the picture's mean; 0.6 to 0.1 of the distance stays."""
    keep = (0.6, 0.45, 0.3, 0.2, 0.1)[severity - 1]
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return mean + keep * (image - mean)


def _brightness(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """0.1 to 0.5 is added to every pixel."""
    return image + 0.1 * severity


def _occlusion(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A grey square, 0.2 to 0.6 of the height, somewhere inside the picture."""
    n, _, height, width = image.shape
    side = round((0.2, 0.3, 0.4, 0.5, 0.6)[severity - 1] * height)
    place = torch.rand(2, n, 1, generator=generator)
    # A larger square holds the smaller: its corner moves out in proportion.
    top, left = (place[0] * (height - side + 1)).floor(), (place[1] * (width - side + 1)).floor()
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= top) & (rows < top + side)  # [N, H]
    across = (columns >= left) & (columns < left + side)  # [N, W]
    return image.masked_fill((down[:, :, None] & across[:, None])[:, None], 0.5)


def _pixelate(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Shrunk to 0.6 to 0.15 of its sides by averages, and blown up again."""
    size = image.shape[-2:]
    share = (0.6, 0.45, 0.35, 0.25, 0.15)[severity - 1]
    small = F.interpolate(image, [max(1, round(share * s)) for s in size], mode="area")
    return F.interpolate(small, list(size), mode="nearest")


# Texts: a string and its own stream of random numbers -> a string.


def _typos(text: str, severity: int, random: np.random.Generator) -> str:
    """Up to 5 to 40 % of the characters change places with the next one, none of them twice.

    Spaces and punctuation stay where they are.
    """
    share = (0.05, 0.1, 0.18, 0.28, 0.4)[severity - 1]
    letters, moved = list(text), set()
    chance = random.random(len(letters))
    for at in chance.argsort()[: (chance < share).sum()].tolist():
        pair = text[at : at + 2]
        if pair.isalnum() and len(set(pair)) == 2 and not moved & {at, at + 1}:
            letters[at : at + 2] = pair[::-1]
            moved |= {at, at + 1}
    return "".join(letters)


def word_drop(text: str, severity: int, random: np.random.Generator) -> str:
    """10 to 60 % of the words (in Chinese: characters) are lost, but never the last one left."""
    checks.instance(str, text=text)
    checks.one_of(SEVERITIES, severity=severity)
    checks.instance(np.random.Generator, random=random)
    share = (0.1, 0.2, 0.3, 0.45, 0.6)[severity - 1]
    words = list(WORD.finditer(text))
    chance = random.random(len(words))
    kept = {
        word.start()
        for word, c in zip(words, chance, strict=True)
        if c >= share or c == chance.max()
    }
    spoiled = WORD.sub(lambda match: match[0] if match.start() in kept else "", text)
    return " ".join(spoiled.split())


def _case(text: str, severity: int, random: np.random.Generator) -> str:
    """20 to 100 % of the letters are turned from small to capital, or back; 字 has no case."""
    chance = random.random(len(text))
    turned = (c.swapcase() if x < 0.2 * severity else c for c, x in zip(text, chance, strict=True))
    return "".join(turned)


# Sounds: float32 (N, T) in [-1, 1] with a mask (N, T) -> (N, T), before the clamp.


def _noise(sound: Tensor, mask: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """White noise, 20 to -5 dB below the sound's own power; a silent sound stays silent."""
    decibels = (20.0, 14.0, 8.0, 2.0, -5.0)[severity - 1]
    power = sound.square().sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
    scale = (power * 10 ** (-decibels / 10)).sqrt()
    return sound + scale * torch.randn(sound.shape, generator=generator)


def _clipping(sound: Tensor, mask: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Cut at 0.7 to 0.05 of the highest peak, as an overdriven microphone does."""
    share = (0.7, 0.5, 0.3, 0.15, 0.05)[severity - 1]
    limit = share * sound.abs().amax(dim=1, keepdim=True)
    return torch.maximum(torch.minimum(sound, limit), -limit)


def _time_mask(sound: Tensor, mask: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """One stretch, 0.1 to 0.6 of the sound's length, is silent."""
    share = (0.1, 0.2, 0.3, 0.45, 0.6)[severity - 1]
    length = mask.sum(dim=1, keepdim=True)  # [N, 1]
    start = torch.rand(len(sound), 1, generator=generator) * (1 - share) * length
    time = torch.arange(sound.shape[1])
    return sound.masked_fill((time >= start) & (time < start + share * length), 0)


IMAGE = {
    "gaussian noise": gaussian_noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "occlusion": _occlusion,
    "pixelate": _pixelate,
}
TEXT = {"typos": _typos, "word drop": word_drop, "case": _case}
SOUND = {"noise": _noise, "clipping": _clipping, "time mask": _time_mask}
CORRUPTIONS = {"image": IMAGE, "text": TEXT, "sound": SOUND}


def corrupt(
    data: Dataset,
    corruption: str,
    severity: int,
    modality: str = "image",
    field: str | None = None,
    seed: int = 0,
) -> Dataset:
    """`data` with one column spoiled, before the dataset's transform (such as `Tokenize`).

    Args:
        corruption: a name in `CORRUPTIONS[modality]`.
        severity: 1 to 5; 0 changes nothing.
        modality: "image", "text" or "sound".
        field: the column; None is "image", "caption" or "audio". Pictures are uint8 (3, H, W), all
            of one size; one that stands in several rows of a list is spoiled once.

    Raises:
        ValueError: for an unknown corruption, modality or severity, or a column that holds no
            pictures, strings, or sounds in [-1, 1].
        KeyError: there is no such column.
    """
    checks.instance(Dataset, data=data)
    checks.one_of(CORRUPTIONS, modality=modality)
    checks.one_of(CORRUPTIONS[modality], corruption=corruption)
    checks.one_of((0, *SEVERITIES), severity=severity)
    checks.at_least(0, seed=seed)
    checks.instance((str, type(None)), field=field)
    change = CORRUPTIONS[modality][corruption]
    field = FIELDS[modality] if field is None else field
    values = data.column(field)
    if severity == 0:
        return data
    apply = {"image": _pictures, "text": _texts, "sound": _sounds}[modality]
    spoiled = apply(
        f"data.column({field!r})", values, change, severity, crc32(corruption.encode()) + int(seed)
    )
    return data.with_column(field, spoiled)


def _pictures(name: str, values: Column, change: Callable, severity: int, seed: int) -> Column:
    own = values if isinstance(values, Tensor) else list({id(x): x for x in values}.values())
    for x in [own] if isinstance(own, Tensor) else own:
        checks.shaped(**{name: (x, "N 3 H W" if x is own else "3 H W")})
        if x.dtype != torch.uint8:
            raise ValueError(f"{name} must be uint8, got {x.dtype}")
        if not isinstance(own, Tensor) and x.shape != own[0].shape:
            raise ValueError(f"{name} must be of one size, got {own[0].shape} and {x.shape}")
    stacked = own if isinstance(own, Tensor) else torch.stack(own)
    image = change(stacked.float() / 255, severity, torch.Generator().manual_seed(seed))
    spoiled = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    if isinstance(values, Tensor):
        return spoiled
    place = {id(x): row for row, x in enumerate(own)}
    return [spoiled[place[id(x)]] for x in values]


def _texts(name: str, values: Column, change: Callable, severity: int, seed: int) -> list[str]:
    """A stream for each row: how long other texts are does not matter."""
    values = checks.listed(str, **{name: values})
    streams = (np.random.default_rng((seed, row)) for row in range(len(values)))
    return [change(text, severity, random) for text, random in zip(values, streams, strict=True)]


def _sounds(name: str, values: Column, change: Callable, severity: int, seed: int) -> Column:
    for x in [values] if isinstance(values, Tensor) else values:
        checks.shaped(**{name: (x, "N T" if x is values else "T")})
        checks.floating(**{name: x})
        checks.within("[-1, 1]", **{name: x})
    lengths = torch.tensor([len(x) for x in values])
    padded = values if isinstance(values, Tensor) else pad_sequence(values, batch_first=True)
    mask = torch.arange(padded.shape[1]) < lengths.unsqueeze(1)  # [N, T]
    sound = change(padded, mask, severity, torch.Generator().manual_seed(seed)).clamp(-1, 1)
    if isinstance(values, Tensor):
        return sound
    return [row[:length].clone() for row, length in zip(sound, lengths.tolist(), strict=True)]
