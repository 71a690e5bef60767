"""SmolLM2 with EfficientNet-Lite0 before it: how it learns, answers and is kept.

Knows the model, its tokenizer, and what a projector learns from pictures, questions and answers.
Knows no data set: that is `pictures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from mmtutor import checks
from mmtutor.data import Dataset, collate, loader
from mmtutor.encoders import EfficientNetLite0
from mmtutor.encoders.base import Encoded, real
from mmtutor.models.generative import GPT, VisionLanguageModel, generate
from mmtutor.models.hub.smollm2 import load_smollm2
from mmtutor.recipes.common import TrainConfig, train
from mmtutor.recipes.language.memory import Memory
from mmtutor.training import History


class _Cells(nn.Module):
    """EfficientNet-Lite0, frozen, its map averaged to grid x grid cells; a cell is a visual token.

    Roots and a layer norm tame the features, of which a few are large. In training a fifth of them
    is hidden.
    """

    modality, dim = "image", EfficientNetLite0.dim

    def __init__(self, grid: int) -> None:
        super().__init__()
        checks.at_least(1, grid=grid)
        self.tower, self.grid, self.dropout = EfficientNetLite0(), grid, nn.Dropout(0.2)

    @torch.no_grad()
    def cells(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], shown at 112 x 112 -> (B, grid^2, 1280), not negative."""
        image = F.interpolate(image, (112, 112), mode="bilinear", antialias=True).clamp(0, 1)
        return F.adaptive_avg_pool2d(self.tower.features(image), self.grid).flatten(2).mT

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Pictures, or the `cells` of them -> tokens (B, grid^2, 1280)."""
        x = self.cells(x) if x.ndim == 4 else x
        x = self.dropout(F.layer_norm(x.float().sqrt(), x.shape[-1:]))
        return Encoded(x, real(x, mask))


class Sighted:
    """SmolLM2-135M, frozen, that sees through a two-layer projector; and its words.

    Attributes:
        model: the `VisionLanguageModel`; reads pictures, or what `_Cells` made of them.
        words: the tokenizer.
        memory: where there is one, each question begins with what it recalls.

    Raises FileNotFoundError where SmolLM2 or EfficientNet-Lite0 is not in the cache.
    """

    def __init__(self, grid: int = 1, seed: int = 0) -> None:
        torch.manual_seed(seed)
        language, self.words = load_smollm2()
        gpt = GPT.from_transformers(language).requires_grad_(False)
        picture = self.words.convert_tokens_to_ids("<file_sep>")  # in no text of ours
        self.model = VisionLanguageModel(gpt, _Cells(grid), picture).eval()
        self.memory: Memory | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is: training moves it to a GPU if there is one."""
        return self.model.gpt.embedding.weight.device

    def learned(self) -> nn.ParameterDict:
        """The projector, without what is frozen; "/" stands in names where "." may not."""
        own = self.model.named_parameters()
        return nn.ParameterDict({n.replace(".", "/"): p for n, p in own if p.requires_grad})

    def answer(
        self,
        image: Tensor,
        question: str | Sequence[str] = "",
        length: int = 12,
        recalled: Sequence[str] | None = None,
    ) -> list:
        """What is said of each picture: a list of str.

        Args:
            image: (N, 3, H, W) in [0, 1], or cells (N, grid^2, 1280).
            question: one for all pictures or one each; "" has the picture named, as in the first
                stage.
            length: tokens at most.
            recalled: of each picture what the memory says instead, such as that of another picture.
        """
        asked = [question] * len(image) if isinstance(question, str) else list(question)
        checks.same_length(image=image, question=asked)
        image, said = self.cells(image), list[str]()
        if self.memory:
            asked = [*map(reminded, recalled or self.memory.recall(image), asked)]
        for batch in loader(Dataset({"image": image, "tokens": [*map(self._ask, asked)]}), 64):
            batch = {name: x.to(self.device) for name, x in batch.items()}
            found = generate(self.model, batch, length, stop=self.words.eos_token_id)
            tokens, mask = (x.cpu() for x in found)
            mask &= tokens != self.words.eos_token_id
            said += [self.words.decode(row[kept]) for row, kept in zip(tokens, mask, strict=True)]
        return [text.strip() for text in said]

    def cells(self, image: Tensor) -> Tensor:
        """Pictures, as `loader` reads them, as cells (N, grid^2, 1280) float16; cells as they are.

        What is asked about often is so read once.
        """
        if image.ndim == 3:
            return image
        encoder, batches = self.model.image_encoder, loader(Dataset({"image": image}), 64)
        return torch.cat([encoder.cells(x["image"].to(self.device)).half().cpu() for x in batches])

    def nearest_words(self, image: Tensor, k: int = 5) -> list[list[list[str]]]:
        """Of each picture's visual tokens, the `k` words whose vectors have the largest product
        with what sets it apart from the mean visual token of the pictures given."""
        with torch.no_grad():
            shown = self.model.look({"image": image.to(self.device)}).tokens
            score = F.linear(shown - shown.mean((0, 1)), self.model.gpt.embedding.weight)
        best = score.topk(k).indices
        return [[[self.words.decode(i).strip() for i in row] for row in one] for one in best]

    def texts(self, asked: Dataset) -> Dataset:
        """From `image`, `question`, `answer`: `image`; `tokens`, of a start, the picture, the
        question, the answer and a stop; and the place at which the answer `begins`."""
        asks = [*map(self._ask, asked.column("question"))]
        tokens = [
            torch.cat(
                [ask, torch.tensor([*self.words.encode(f" {text}"), self.words.eos_token_id])]
            )
            for ask, text in zip(asks, asked.column("answer"), strict=True)
        ]
        begins = torch.tensor([len(ask) for ask in asks])
        return Dataset({"image": asked.column("image"), "tokens": tokens, "begins": begins})

    def learn_words(self, config: TrainConfig, shown: Dataset, progress: bool = False) -> History:
        """Before the language model is asked at all, learn which words suit a picture.

        The mean of its visual tokens is to stand near the vectors of those words. So the projector
        learns in seconds what through thirty blocks takes it many minutes. In the end visual
        tokens are made as long as words' vectors, to which the language model is used.

        Args:
            shown: `image`, and `words`, a text for each.
        """
        bags = [self.words.encode(f" {text}") for text in shown.column("words")]
        bags = [torch.tensor(sorted(set(bag))) for bag in bags]
        known = torch.cat(bags).unique()
        rows = {
            "image": shown.column("image"),
            "tokens": [torch.searchsorted(known, x) for x in bags],
        }
        model = _Words(self.model, known)
        history = train(config, model, _unsuited, Dataset(rows), progress)
        self._lengthen(shown.column("image")[:1_000])
        return history

    @torch.no_grad()
    def _lengthen(self, image: Tensor) -> None:
        shown = self.model.look({"image": image.to(self.device)}).tokens
        length = self.model.gpt.embedding.weight.norm(dim=1).mean() / shown.norm(dim=2).mean()
        for weight in self.model.project[-1].parameters():
            weight *= length

    def learn(self, config: TrainConfig, asked: Dataset, progress: bool = False) -> History:
        """Learn the answers; what is frozen stays so.

        Texts of about one length make a batch, so that little is padded.
        """
        texts, random, size = self.texts(asked), Random(config.seed), config.batch_size
        lengths = [(len(tokens), random.random()) for tokens in texts.column("tokens")]
        rows = sorted(range(len(texts)), key=lengths.__getitem__)
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        random.shuffle(batches)
        batches = DataLoader(texts, batch_sampler=batches, collate_fn=collate)
        return train(config, _Answers(self.model), _objective, batches, progress)

    def _ask(self, question: str) -> Tensor:
        text = f" {question}" if question else ""
        start = self.words.bos_token_id  # before the picture, as a text begins
        return torch.tensor([start, self.model.placeholder, *self.words.encode(text)])


def reminded(recalled: str, question: str) -> str:
    """A question after what the memory recalls."""
    return f"Like: {recalled}. {question}"


class _Suits(NamedTuple):
    """Scores (B, C) of C words, higher for those that suit a picture."""

    logits: Tensor


class _Words(nn.Module):
    """The projector without the language model: a word's score is the product of its vector with
    the direction of the mean visual token, and grows with how frequent it is.

    Args:
        known: ids of the words.
    """

    def __init__(self, model: VisionLanguageModel, known: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("vectors", model.gpt.embedding.weight[known].detach().clone())
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.frequent = nn.Parameter(torch.zeros(len(known)))

    def forward(self, batch: dict[str, Tensor]) -> _Suits:
        """`image` as pictures or cells."""
        mean = F.normalize(self.model.look(batch).tokens.mean(1), dim=1)
        return _Suits(self.scale * F.linear(mean, self.vectors) + self.frequent)


def _unsuited(output: _Suits, batch: dict[str, Tensor]) -> Tensor:
    """What is minimised first: the mean surprise at the words that suit."""
    found = output.logits.log_softmax(dim=1).gather(1, batch["tokens"])
    real = batch["tokens_mask"]
    return -((found * real).sum(dim=1) / real.sum(dim=1)).mean()


class _Judged(NamedTuple):
    """Scores (M, V) at the M tokens of answers, and which are right (M,)."""

    logits: Tensor
    label: Tensor


class _Answers(nn.Module):
    """The model while it learns: in a short text most of the work is to score 49,152 tokens at a
    place, so that it is done at answers alone."""

    def __init__(self, model: VisionLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> _Judged:
        """A batch of `Sighted.texts`."""
        vectors, mask, _ = self.model.prompt(batch)
        tokens = batch["tokens"]
        with sdpa_kernel(SDPBackend.MATH):  # on texts as short as these the fastest backward
            before = self.model.states(vectors, mask)[:, -tokens.shape[1] : -1]  # foresees the next
        place = torch.arange(1, tokens.shape[1], device=tokens.device)
        judged = batch["tokens_mask"][:, 1:] & (place >= batch["begins"].unsqueeze(1))
        return _Judged(self.model.gpt.logits(before[judged]), tokens[:, 1:][judged])


def _objective(output: _Judged, _: dict[str, Tensor]) -> Tensor:
    """What is minimised: the surprise at the right tokens."""
    return F.cross_entropy(output.logits, output.label)
