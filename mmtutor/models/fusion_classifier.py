"""The fusion classifier: an encoder for each modality, a fusion and a head.

Knows how the three are composed; knows nothing of any modality, of losses or of what the classes
are.
"""

from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode
from mmtutor.fusion import Fusion
from mmtutor.models.classifier import ClassifierOutput


class FusionClassifier(nn.Module):
    """head(fusion({modality: encoder(batch[modality])})).

    Args:
        encoders: encoders by modality, each with that `modality`, a `dim` and an `Encoded` output.
        fusion: a fusion of just these modalities, with `dims` that fit.
        head: from (B, fusion.out_dim) to (B, C): a linear layer, a `ProjectionHead`, or, where the
            fusion gives class scores itself (late fusion), `nn.Identity()`.

    Raises:
        ValueError: an encoder stands under another name than its modality, or the sizes do not fit.
    """

    def __init__(self, encoders: dict[str, nn.Module], fusion: Fusion, head: nn.Module) -> None:
        super().__init__()
        checks.instance(dict, encoders=encoders)
        checks.instance(Fusion, fusion=fusion)
        for name, encoder in encoders.items():
            if encoder.modality != name:
                raise ValueError(f"the encoder called {name!r} is of modality {encoder.modality!r}")
        dims = {name: encoder.dim for name, encoder in sorted(encoders.items())}
        if dims != fusion.dims:
            raise ValueError(f"the encoders give {dims}, but the fusion takes {fusion.dims}")
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.head = head

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        """A batch with every modality -> logits (B, C).

        Where `present` (B, M) bool is in the batch, in sorted order of the modalities, an example's
        absent ones are not looked at; the entry must be there. Raises KeyError naming one that is
        not.
        """
        encoded = {name: encode(encoder, batch) for name, encoder in self.encoders.items()}
        return ClassifierOutput(self.head(self.fusion(encoded, batch.get("present"))))
