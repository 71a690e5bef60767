"""A `transformers` model that chooses among answers, as a model with `logits`.

Knows what `load_vqa` gives. Pictures in [0, 1] and token ids in, `logits` out, with gradients all
the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmtutor.checks import instance, listed, shaped
from mmtutor.data.batch import require
from mmtutor.data.hub.preprocess import PLAIN
from mmtutor.models.classifier import ClassifierOutput
from mmtutor.models.hub.vqa import AnswerClassifier

LONGEST = 40  # tokens of a question


class HubAnswerer(nn.Module):
    """A question answerer of `transformers` as a model with `logits` of `answers`.

    What its image processor does with one picture after another, scaling and normalising, is done
    here to the whole batch, so that the gradient by a pixel can be taken; images must have the
    size that the model wants.

    Args:
        loaded: what `load_vqa` gave for a model that chooses among answers.
        answers: the answers in the order of the labels.

    Raises:
        TypeError: the model writes its answers instead of choosing one.
        ValueError: it does not know one of the answers.
    """

    def __init__(self, loaded: AnswerClassifier, answers: Sequence[str]) -> None:
        super().__init__()
        answers = listed(str, answers=answers)
        if not isinstance(loaded, AnswerClassifier):
            raise TypeError(f"{type(loaded).__name__} does not choose among answers: no logits")
        unknown = sorted(set(answers) - set(loaded.answers))
        if unknown:
            raise ValueError(f"the model cannot say {', '.join(unknown)}")
        pictures = loaded.processor.image_processor
        self.model, self.tokenizer = loaded.model, loaded.processor.tokenizer
        self.mean, self.std = (
            torch.tensor(value).view(3, 1, 1) for value in (pictures.image_mean, pictures.image_std)
        )
        self.order = torch.tensor([loaded.answers.index(answer) for answer in answers])

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        """`image` (B, 3, H, W) in [0, 1], `tokens` (B, L) and their mask -> logits (B, C)."""
        require(batch, "image", "tokens", "tokens_mask")
        image = batch["image"]
        shaped(
            image=(image, "B 3 H W"),
            tokens=(batch["tokens"], "B L"),
            tokens_mask=(batch["tokens_mask"], "B L"),
        )
        pixels = (image - self.mean.to(image)) / self.std.to(image)
        mask = batch["tokens_mask"].long()
        said = self.model(input_ids=batch["tokens"], attention_mask=mask, pixel_values=pixels)
        return ClassifierOutput(said.logits[:, self.order.to(image.device)])

    def encode(self, question: str) -> list[int]:
        """Token ids of a question, as the checkpoint's own tokenizer has them."""
        instance(str, question=question)
        return self.tokenizer(question, truncation=True, max_length=LONGEST, **PLAIN)["input_ids"]
