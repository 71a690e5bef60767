"""Encoders: a tensor of one modality becomes `Encoded` tokens with a mask."""

from mmtutor.encoders.base import Encoded, encode
from mmtutor.encoders.image import SmallCNN
from mmtutor.encoders.pretrained import (
    EfficientNetLite0,
    FeatureEncoder,
    WordLlama,
    imagenet_categories,
    load_efficientnet_lite0,
)
from mmtutor.encoders.text import SmallTransformer
from mmtutor.encoders.vision_transformer import VisionTransformer

__all__ = [
    "EfficientNetLite0",
    "Encoded",
    "FeatureEncoder",
    "SmallCNN",
    "SmallTransformer",
    "VisionTransformer",
    "WordLlama",
    "encode",
    "imagenet_categories",
    "load_efficientnet_lite0",
]
