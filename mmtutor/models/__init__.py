"""Models: encoders and heads composed; `model(batch)` returns a named tuple, never a loss."""

from mmtutor.models.classifier import Classifier, ClassifierOutput
from mmtutor.models.dual_encoder import DualEncoder, DualEncoderOutput, ProjectionHead
from mmtutor.models.ensemble import Ensemble
from mmtutor.models.fusion_classifier import FusionClassifier
from mmtutor.models.masked_autoencoder import MaskedAutoencoder
from mmtutor.models.masked_language_model import MaskedLanguageModel
from mmtutor.models.momentum_contrast import MomentumContrast
