"""Encoders: a tensor of one modality becomes `Encoded` tokens with a mask."""

from mmtutor.encoders.audio import AudioCNN, AudioTransformer
from mmtutor.encoders.base import Encoded, encode
from mmtutor.encoders.image import CellCNN, EdgeCNN, EncodeUniqueImages, SmallCNN
from mmtutor.encoders.pretrained import (
    EfficientNetLite0,
    FeatureEncoder,
    FrozenEncoder,
    WordLlama,
    imagenet_categories,
)
from mmtutor.encoders.recurrent import LastToken, Recurrent, RecurrentEncoder
from mmtutor.encoders.text import BagOfWords, SmallTransformer
from mmtutor.encoders.video import VideoCNN, VideoTransformer
from mmtutor.encoders.vision_transformer import VisionTransformer
