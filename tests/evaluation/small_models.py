"""Tiny classifiers whose worst inputs are known with a pencil."""

import torch
from torch import Tensor, nn

from mmtutor.models import ClassifierOutput


class Linear(nn.Module):
    """logits = W x, of pictures of any shape."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        return ClassifierOutput(batch["image"].flatten(1) @ self.weight.T)


class Network(nn.Module):
    """A random network with everything that training and evaluation mode tell apart."""

    def __init__(self, size: int = 12, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            *(nn.Flatten(), nn.Linear(size, 32), nn.BatchNorm1d(32), nn.Tanh()),
            *(nn.Dropout(0.5), nn.Linear(32, classes)),
        )

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        return ClassifierOutput(6 * self.layers(2 * batch["image"] - 1))


class Words(nn.Module):
    """logits = the sum of the words' vectors, where the mask is True."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False)

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        vectors = self.embedding(batch["tokens"])
        return ClassifierOutput((vectors * batch["tokens_mask"].unsqueeze(-1)).sum(dim=1))


def pictures(model: nn.Module, n: int = 60, shape: tuple[int, ...] = (3, 2, 2), seed: int = 0):
    """A batch that the model gets right, all of it."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(n, *shape, generator=generator)
    with torch.no_grad():
        return {"image": image, "label": model.eval()({"image": image}).logits.argmax(dim=1)}
