"""Models: encoders and heads composed; `model(batch)` returns a named tuple, never a loss."""

from mmtutor.models.dual_encoder import DualEncoder, DualEncoderOutput, ProjectionHead

__all__ = ["DualEncoder", "DualEncoderOutput", "ProjectionHead"]
