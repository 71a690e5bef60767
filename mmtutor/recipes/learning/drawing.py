"""Pictures drawn from captions: DALL-E in small, on one coloured shape at a time.

Knows one whole experiment in two steps (Ramesh et al. 2021). An autoencoder learns to say a picture
with a few whole numbers, without any caption. Then a GPT reads captions and the numbers of their
pictures as one text. Given a caption alone it goes on with numbers, and the decoder draws them.

A judge that has seen true pictures only says what is drawn; it is compared with the caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.tokenizer import UNKNOWN, WordTokenizer
from mmtutor.encoders import EdgeCNN
from mmtutor.evaluation.predict import outputs
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import next_token
from mmtutor.losses.quantisation import quantised
from mmtutor.models.generative import GPT, GPTConfig, VectorQuantisedAutoencoder, generate
from mmtutor.models.generative.vector_quantised import PIXELS
from mmtutor.models.multitask import MultiTask
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate, require_multiple
from mmtutor.recipes.learning.judge import agreement, asked_of, learn_to_judge
from mmtutor.training import History

WORDS = 13  # tokens that a caption takes, blanks at its end included


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        train: pictures with captions; all three models learn from as many.
        test: captions to draw from, and as many that join a colour and a shape never joined before.
        split: of the first: "test", or "val" while anything is still being chosen.
        side: of the pictures in pixels, a multiple of 8.
        codes, code_dim, width, patience: of the autoencoder.
        code_epochs, code_lr: of its training.
        dim, depth, heads: of the GPT; `epochs` and `lr` are those of its training.
        temperature: at which the numbers are drawn.
        judge_epochs: of the judge.
    """

    train: Count = 10_000
    test: Count = 1_000
    split: Literal["test", "val"] = "test"
    side: Count = 48
    codes: Count = 256
    code_dim: Count = 16
    width: Count = 32
    patience: Count | None = 50
    code_epochs: Count = 8
    code_lr: Rate = 4e-3
    dim: Count = 96
    depth: Count = 3
    heads: Count = 4
    temperature: Rate = 1.0
    judge_epochs: Count = 3
    epochs: Count = 5
    batch_size: Count = 16
    lr: Rate = 2e-3

    def _check(self) -> None:
        require_multiple(self, "dim", "heads")
        if self.side % PIXELS or self.side < 32:
            raise ValueError(f"side is {self.side}: expected a multiple of {PIXELS}, at least 32")


PRESETS = {
    "tiny": Config(
        train=256, test=32, side=32, codes=32, width=8, dim=16, depth=1, code_epochs=2,
        judge_epochs=1, epochs=1,
    ),
    "cpu": Config(train=3_000, code_epochs=3, epochs=2),
    "stored": Config(code_epochs=6, epochs=6, judge_epochs=10),  # six minutes on one core
    "t4": Config(train=100_000, codes=512, width=64, dim=256, depth=6, batch_size=64, epochs=20),
    "h100": Config(
        train=500_000, side=64, codes=1_024, width=128, dim=384, depth=8, batch_size=256, epochs=20,
    ),
}  # fmt: skip


class Artist(NamedTuple):
    """What draws: the autoencoder, the GPT, and the words it reads."""

    autoencoder: VectorQuantisedAutoencoder
    gpt: GPT
    words: WordTokenizer


def run(config: Config, progress: bool = True) -> Result:
    """Train autoencoder, GPT and judge, then draw from captions and have the pictures judged.

    Metrics: `agreement[set][what is judged][attribute]`, the share that the judge reads as the
    caption says, with its interval, "all" being all four at once. Sets: "test" and "unseen". What
    is judged: the "true" pictures; these "through codes"; those "drawn"; and the drawn ones against
    the captions of others, "permuted". `error`, mean squared, of test pictures through codes;
    `codes` that are used; and `nats` that the GPT needs for a code.
    """
    autoencoder, _ = learn_codes(config, progress)
    artist, history = _learn_to_draw(config, autoencoder, data(config), progress)
    judge = _judge_of(config, progress)
    metrics: dict[str, Any] = {"agreement": {}}
    for name in (config.split, "unseen"):
        asked = data(config, name)
        metrics["agreement"][name] = judged(config, artist, judge, asked)
    asked = data(config, config.split)
    metrics |= coded(autoencoder, asked)
    metrics["nats"] = nats(artist, asked)
    models = {"autoencoder": autoencoder, "gpt": artist.gpt, "judge": judge}
    return Result(metrics, history, nn.ModuleDict(models), config)


def data(config: Config, split: str = "train", objects: int = 1) -> Dataset:
    """Pictures of one shape each, or of up to three, with captions; test pictures from seeds that
    nothing was chosen on."""
    n, seed = (config.train, 0) if split == "train" else (config.test, TEST_SEED_OFFSET)
    chosen = {"size": config.side, "seed": config.seed + seed, "max_objects": objects}
    return load("shapes", split, n=n, **chosen)


def build_autoencoder(config: Config) -> VectorQuantisedAutoencoder:
    """An untrained one."""
    torch.manual_seed(config.seed)
    encoder = EdgeCNN(config.width, config.width // 2)
    return VectorQuantisedAutoencoder(
        encoder, config.codes, config.code_dim, config.width, config.patience
    )


def learn_codes(
    config: Config, progress: bool = False
) -> tuple[VectorQuantisedAutoencoder, History]:
    """An autoencoder that has seen pictures of up to three shapes, and no caption: where more is to
    be seen there is more to learn from."""
    model = build_autoencoder(config)
    images = Dataset({"image": data(config, objects=3).column("image")})
    first = replace(config, epochs=config.code_epochs, lr=config.code_lr)
    return model, train(first, model, quantised, images, progress)


def build_gpt(config: Config, words: WordTokenizer) -> GPT:
    """An untrained GPT whose tokens are words, and after them the numbers of a picture."""
    torch.manual_seed(config.seed)
    size, length = words.size + config.codes, WORDS + (config.side // PIXELS) ** 2
    return _small_gpt(GPTConfig(size, config.dim, config.depth, config.heads, max_length=length))


def _small_gpt(config: GPTConfig) -> GPT:
    """A GPT whose matrices keep vectors as long as they were. GPT-2's first weights are made for
    vectors of 768 numbers or more; in a small model they say next to nothing."""
    gpt = GPT(config)
    with torch.no_grad():
        larger = config.dim**-0.5 / gpt.embedding.weight.std()
        for matrix in (p for p in gpt.parameters() if p.ndim == 2):
            matrix *= larger
    return gpt


def vocabulary() -> WordTokenizer:
    """The words of all captions."""
    captions = load("shapes", "train", n=3_000, size=32, max_objects=1).column("caption")
    return WordTokenizer(sorted({word for caption in captions for word in caption.split()}))


def restored(config: Config, weights: Mapping[str, Tensor]) -> Artist:
    """The artist of a run with `config`, from the stored weights of its models."""
    words = vocabulary()
    artist = Artist(build_autoencoder(config), build_gpt(config, words), words)
    for name in ("autoencoder", "gpt"):
        first = f"{name}."
        own = {key.removeprefix(first): x for key, x in weights.items() if key.startswith(first)}
        getattr(artist, name).eval().load_state_dict(own)
    return artist


def _learn_to_draw(
    config: Config,
    autoencoder: VectorQuantisedAutoencoder,
    pictures: Dataset,
    progress: bool = False,
) -> tuple[Artist, History]:
    """A GPT that has read captions, each with the numbers of its picture."""
    words = vocabulary()
    artist = Artist(autoencoder, build_gpt(config, words), words)
    return artist, train(config, artist.gpt, next_token, texts(artist, pictures), progress)


def written(words: WordTokenizer, captions: Sequence[str]) -> Tensor:
    """Captions as tokens (N, WORDS), with blanks at the end: the picture always begins at the same
    place. Raises ValueError for words that no caption of `shapes` has, and for more than WORDS."""
    rows = torch.zeros(len(captions), WORDS, dtype=torch.int64)
    for row, caption in zip(rows, captions, strict=True):
        ids = torch.tensor(words.encode(caption))
        if len(ids) > WORDS or (ids == UNKNOWN).any():
            raise ValueError(f"caption must be up to {WORDS} words of `shapes`, got {caption!r}")
        row[: len(ids)] = ids
    return rows


def texts(artist: Artist, pictures: Dataset) -> Dataset:
    """`tokens` (N, L), a caption and the numbers of its picture; `answer`, which are the latter."""
    numbers = indices(artist.autoencoder, pictures.column("image"))
    caption = written(artist.words, pictures.column("caption"))
    tokens = torch.cat([caption, artist.words.size + numbers], dim=1)
    answer = (torch.arange(tokens.shape[1]) >= WORDS).expand_as(tokens)
    return Dataset({"tokens": tokens, "answer": answer})


def indices(autoencoder: VectorQuantisedAutoencoder, image: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) uint8 as numbers (N, S S / 64)."""
    found = outputs(autoencoder, Dataset({"image": image}))
    return torch.cat([output.index.cpu() for _, output in found])


def draw(
    artist: Artist, captions: Sequence[str], temperature: float = 1.0, seed: int = 0
) -> Tensor:
    """Pictures (N, 3, S, S) in [0, 1] of captions, drawn by the seed; at temperature 0 the
    likeliest number is taken each time."""
    first = artist.words.size
    generator = torch.Generator().manual_seed(seed)
    prompt = {"tokens": written(artist.words, captions)}
    squares = artist.gpt.config.max_length - WORDS
    found = generate(artist.gpt, prompt, squares, temperature=temperature, generator=generator)
    numbers = (found.tokens - first).clamp(min=0)  # a word in a picture is taken for number 0
    with torch.no_grad():
        return artist.autoencoder.draw(numbers)


def _judge_of(config: Config, progress: bool = False) -> MultiTask:
    """A judge that has seen true pictures only, none of them the artist's; and it, unlike the
    artist, has seen each colour with each shape."""
    other = replace(config, seed=config.seed + 100, test=config.train // 5)
    pictures = [data(other), data(other, "unseen")]
    return learn_to_judge(
        replace(config, epochs=config.judge_epochs), config.width, pictures, progress
    )


def judged(config: Config, artist: Artist, judge: MultiTask, asked: Dataset) -> dict[str, dict]:
    """How often the judge reads what the caption says, as `run` describes."""
    numbers = indices(artist.autoencoder, asked.column("image"))
    with torch.no_grad():
        coded = artist.autoencoder.draw(numbers)
    drawn = draw(artist, asked.column("caption"), config.temperature, config.seed)
    others = asked.subset(torch.arange(len(asked)).roll(1))
    sets = {
        "true": asked_of(asked),
        "through codes": asked_of(asked, coded),
        "drawn": asked_of(asked, drawn),
        "permuted": asked_of(others, drawn),
    }
    return {name: agreement(judge, pictures) for name, pictures in sets.items()}


def coded(autoencoder: VectorQuantisedAutoencoder, asked: Dataset) -> dict[str, Any]:
    """`error`, the mean squared error of pictures drawn from their numbers, with its interval;
    `codes`, how many numbers are used at all, and `perplexity`, as how many equally frequent ones
    they are."""
    found = [
        output for _, output in outputs(autoencoder, Dataset({"image": asked.column("image")}))
    ]
    error = [(o.drawn.clamp(0, 1) - o.target).square().mean(dim=(1, 2, 3)).double() for o in found]
    share = torch.cat([o.index.flatten() for o in found]).bincount().double()
    share = share[share > 0] / share.sum()
    return {
        "error": bootstrap_interval(torch.cat(error).cpu())._asdict(),
        "codes": len(share),
        "perplexity": torch.special.entr(share).sum().exp().item(),
    }


def nats(artist: Artist, asked: Dataset) -> float:
    """What the GPT's mean surprise at a number of a picture is, its caption given."""
    rows = texts(artist, asked)
    found = [
        (next_token(out, batch).item(), len(batch["tokens"]))
        for batch, out in outputs(artist.gpt, rows)
    ]
    return sum(loss * n for loss, n in found) / len(asked)
