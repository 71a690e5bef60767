"""CLIP and SigLIP from `transformers`, in the clothes of a `DualEncoder`.

Knows how to load such a checkpoint safely, and how to ask it for embeddings. Does not know data
sets, losses or metrics. `transformers` is imported only when a checkpoint is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmtutor.checks import as_mask, shaped
from mmtutor.data.batch import require
from mmtutor.data.hub.preprocess import Preprocess
from mmtutor.models.dual_encoder import DualEncoderOutput, l2_normalize
from mmtutor.models.hub.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FEATURES = ("get_image_features", "get_text_features")
READS_PADDING = ("siglip",)  # trained on texts filled up to one length, without a mask


class HubDualEncoder(nn.Module):
    """A pretrained dual encoder: `model(batch)` gives `DualEncoderOutput`, rows of unit length.

    Reads `image` (B, 3, H, W) in [0, 1], of the checkpoint's own size, `tokens` (B, L) int64 and
    `tokens_mask` (B, L) bool, all made by the `Preprocess` that `load_clip` returns with it. The
    checkpoint's learned scale is kept but not trained: an objective owns its own.

    Args:
        model: a CLIP (Radford et al. 2021), a SigLIP (Zhai et al. 2023) or one of their relatives.
        mean, std: of the three colour channels the checkpoint was trained with, in [0, 1].
    """

    def __init__(self, model: PreTrainedModel, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        for name in ("logit_scale", "logit_bias"):
            if isinstance(getattr(model, name, None), nn.Parameter):
                getattr(model, name).requires_grad_(False)

    def forward(self, batch: dict[str, Tensor]) -> DualEncoderOutput:
        """Embed both sides of `batch`; row i of each is one pair."""
        return DualEncoderOutput(self.encode_image(batch), self.encode_text(batch))

    def encode_image(self, batch: dict[str, Tensor]) -> Tensor:
        """Unit-length image embeddings (B, D); only `image` is needed."""
        require(batch, "image")
        shaped(image=(batch["image"], "B 3 H W"))
        pixels = (batch["image"] - self.mean) / self.std  # [B, 3, H, W]
        return _embedding(self.model.get_image_features(pixel_values=pixels.to(self.model.dtype)))

    def encode_text(self, batch: dict[str, Tensor]) -> Tensor:
        """Unit-length text embeddings (B, D); only `tokens` and `tokens_mask` are needed."""
        require(batch, "tokens", "tokens_mask")
        tokens, mask = batch["tokens"], as_mask(tokens_mask=batch["tokens_mask"]).long()
        shaped(tokens=(tokens, "B L"), tokens_mask=(mask, "B L"))
        return _embedding(self.model.get_text_features(input_ids=tokens, attention_mask=mask))

    @property
    def logit_scale(self) -> float:
        """The factor on the inner products that the checkpoint learned, one over a temperature."""
        return self.model.logit_scale.exp().item()

    @property
    def logit_bias(self) -> float | None:
        """The bias on the scores that a SigLIP learned; None for a CLIP."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else bias.item()


def load_clip(
    source: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[HubDualEncoder, Preprocess]:
    """A pretrained dual encoder in evaluation mode, and the transform that prepares its examples.

    Only safetensors weights are read, and no code from the hub runs.

    Args:
        source: a hub id or a local folder, such as "laion/CLIP-ViT-B-32-laion2B-s34B-b79K".
        device: where the model is put.
        dtype: of its weights; train in float32 and let `fit` choose the mixed precision.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id.
        TypeError: the model is not a dual encoder.
        OSError: the source has no safetensors weights or no processor.
        ImportError: the extra `hub` is not installed.
    """
    model, processor = load_checkpoint(source, lambda config: _class(config, source), dtype)
    pictures, config = processor.image_processor, model.config
    wrapped = HubDualEncoder(model, pictures.image_mean, pictures.image_std)
    longest = min(processor.tokenizer.model_max_length, config.text_config.max_position_embeddings)
    transform = Preprocess(processor, longest, pad=config.model_type in READS_PADDING)
    return wrapped.to(device).eval(), transform


def _class(config: Any, source: str | Path) -> type:
    """The configured model's class; TypeError unless it has an image and a text side to compare."""
    from transformers import MODEL_MAPPING

    model = MODEL_MAPPING.get(type(config), None)
    sides = all(hasattr(model, method) for method in FEATURES)
    if not (sides and hasattr(config, "text_config") and hasattr(config, "vision_config")):
        raise TypeError(
            f"{source} is a {config.model_type} model, not a dual encoder: "
            "expected a model like CLIP or SigLIP, with image features and text features"
        )
    return model


def _embedding(features: Any) -> Tensor:
    """Unit length; `transformers` 5 wraps the projected features, version 4 returns them bare."""
    return l2_normalize(getattr(features, "pooler_output", features))
