"""Fusion: several modalities' `Encoded` tokens become one vector.

`FUSIONS` holds every way by name. All are built alike, `FUSIONS[name](dims, out_dim)`, and called
alike, `fusion(encoded, present)`.
"""

from mmtutor.fusion.attention import (
    Attention,
    Bottleneck,
    CrossAttention,
    MultiHeadCrossAttention,
    SingleStream,
)
from mmtutor.fusion.base import Fusion
from mmtutor.fusion.bilinear import Bilinear, Gated, LowRankTensor
from mmtutor.fusion.conditioning import FiLM, Product
from mmtutor.fusion.graph import InteractionGraph
from mmtutor.fusion.late import Late
from mmtutor.fusion.pooling import Concat, Convolution, Max, Mean, Sum, Weighted

FUSIONS: dict[str, type[Fusion]] = {
    "concat": Concat,
    "mean": Mean,
    "sum": Sum,
    "weighted": Weighted,
    "late": Late,
    "max": Max,
    "convolution": Convolution,
    "gated": Gated,
    "bilinear": Bilinear,
    "low_rank_tensor": LowRankTensor,
    "attention": Attention,
    "cross_attention": CrossAttention,
    "bottleneck": Bottleneck,
    "single_stream": SingleStream,
    "graph": InteractionGraph,
    "product": Product,
    "film": FiLM,
}
