"""LoRA: a frozen layer and beside it a product of two thin matrices, which alone is trained.

Knows the linear layers of a model; does not know what the model is for. `peft` computes the same,
and offers more ways; this is the method to read. Method: Hu et al. (2022), LoRA.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.training.checkpoint import CheckpointError, read_tensors, write_tensors


class LoRALinear(nn.Module):
    """A frozen `nn.Linear` and what is learned on top of it: (..., D_in) -> (..., D_out).

    y = W x + b + (alpha / rank) B A x, with A (rank, D_in) random as the weights of a linear layer
    are, and B (D_out, rank) zero, so that at first nothing changes. Dropout hides entries of the x
    that A sees. Who asks for `weight` and `bias`, as PyTorch's own Transformer layers do, gets
    those of the sum, without dropout.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        checks.instance(nn.Linear, base=base)
        _check_settings(rank, alpha, dropout)
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.rank, self.alpha = rank, alpha
        self.dropout = nn.Dropout(dropout)
        self.train(base.training)

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(self.dropout(x), self.A) * (self.alpha / self.rank)
        return self.base(x) + F.linear(low, self.B)

    @property
    def weight(self) -> Tensor:
        """The weights (D_out, D_in) of the one linear layer that computes the same."""
        return self.base.weight + (self.alpha / self.rank) * (self.B @ self.A)

    @property
    def bias(self) -> Tensor | None:
        """Those of the frozen layer."""
        return self.base.bias


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float,
    targets: Sequence[str] | None = None,
    dropout: float = 0.0,
) -> list[str]:
    """Freeze `model`, and put a `LoRALinear` in the place of its linear layers.

    Args:
        rank: of what is learned: r (D_in + D_out) numbers a layer instead of D_in D_out.
        alpha: what is learned counts alpha / rank times, so that a rate suits several ranks.
        targets: the last parts of layers' names, as `peft` reads them: "qkv" is every layer of that
            name, "blocks.0.qkv" one. None is every `nn.Linear` below the model.
        dropout: share of the inputs that each low-rank product does not see in training.

    Returns:
        The names of the layers.

    Raises:
        TypeError: a target that is no `nn.Linear`, such as an `nn.MultiheadAttention`, which packs
            three matrices into one, or the `Conv1D` of `transformers`' GPT-2.
        ValueError: a rank below 1, no such layer, or a model that has adapters already.
    """
    checks.instance(nn.Module, model=model)
    _check_settings(rank, alpha, dropout)
    _check_new(model)
    names = _layers(model, targets)
    _replace(model, names, rank, alpha, dropout)
    return names


def merge_lora(model: nn.Module) -> None:
    """Add each product B A to its layer's weights, which then cost nothing more at prediction.

    The layers are plain `nn.Linear` again, and stay frozen. Raises ValueError without adapters.
    """
    layers = _adapters(model)
    for layer in set(layers.values()):
        # not in place: another layer may share these weights, and has learned nothing
        layer.base.weight = nn.Parameter(layer.weight.detach(), requires_grad=False)
    for name, layer in layers.items():
        model.set_submodule(name, layer.base)


def save_lora(model: nn.Module, path: str | Path) -> None:
    """Write the adapters alone to `path` as safetensors, atomically; see `load_lora`.

    Raises ValueError for a model without adapters.
    """
    layers = _adapters(model)
    first = next(iter(layers.values()))
    tensors = {f"{name}.{part}": getattr(layers[name], part) for name in layers for part in "AB"}
    settings = {"rank": first.rank, "alpha": first.alpha, "dropout": first.dropout.p}
    write_tensors(path, tensors, {"lora": settings | {"layers": list(layers)}})


def load_lora(model: nn.Module, path: str | Path) -> None:
    """Add to `model`, which has none, the adapters that `save_lora` wrote; freezes the rest.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file holds no adapters, or another model's; `model` stays as it is.
        ValueError: the model has adapters already.
    """
    checks.instance(nn.Module, model=model)
    _check_new(model)
    tensors, metadata = read_tensors(path)
    if "lora" not in metadata:
        raise CheckpointError(f"{path} must be a file of save_lora, got one without adapters")
    settings = dict(metadata["lora"])
    names = settings.pop("layers")
    for name in names:
        _check_fits(model, name, tensors, path)
    _replace(model, names, **settings)
    with torch.no_grad():
        for name in names:
            for part in "AB":
                getattr(model.get_submodule(name), part).copy_(tensors[f"{name}.{part}"])


def _check_settings(rank: int, alpha: float, dropout: float) -> None:
    checks.at_least(1, rank=rank)
    checks.within("(0, inf)", alpha=alpha)
    checks.within("[0, 1)", dropout=dropout)


def _check_new(model: nn.Module) -> None:
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise ValueError("model must have no adapters yet, got one that has; merge_lora ends them")


def _check_fits(model: nn.Module, name: str, tensors: dict[str, Tensor], path: Any) -> None:
    """CheckpointError unless the layer is there and both matrices suit it."""
    layer = dict(model.named_modules(remove_duplicate=False)).get(name)
    if type(layer) is not nn.Linear:
        came = "none" if layer is None else f"a {type(layer).__name__}"
        raise CheckpointError(f"{path} does not fit model: {name} must be an nn.Linear, got {came}")
    a, b = tensors[f"{name}.A"], tensors[f"{name}.B"]
    if (a.shape[1], b.shape[0]) != (layer.in_features, layer.out_features):
        raise CheckpointError(
            f"{path} does not fit model: {name} is {b.shape[0]} x {a.shape[1]} in the file, "
            f"{layer.out_features} x {layer.in_features} here"
        )


def _layers(model: nn.Module, targets: Sequence[str] | None) -> list[str]:
    """The full names of the layers that `targets` names."""
    below = {name: m for name, m in model.named_modules(remove_duplicate=False) if name}
    if targets is None:
        names = [name for name, module in below.items() if type(module) is nn.Linear]
        if not names:
            raise ValueError(f"model must hold an nn.Linear, got a {type(model).__name__} without")
        return names
    targets = checks.listed(str, targets=targets)
    checks.same_length(targets=targets)
    ends = {t: [name for name in below if f".{name}".endswith(f".{t}")] for t in targets}
    for target, names in ends.items():
        if not names:
            hint = checks.did_you_mean(target, [name.rpartition(".")[2] for name in below])
            raise ValueError(f"targets must name layers of the model, got {target!r}{hint}")
    named = {name for names in ends.values() for name in names}
    for name in named:
        if type(below[name]) is not nn.Linear:
            raise TypeError(
                f"targets must name layers that are nn.Linear, got {name!r}, which is a "
                f"{type(below[name]).__name__}"
            )
    return [name for name in below if name in named]


def _replace(
    model: nn.Module, names: Iterable[str], rank: int, alpha: float, dropout: float
) -> None:
    """Freeze all, and wrap these layers; one that stands in two places is wrapped once."""
    model.requires_grad_(False)
    made: dict[nn.Module, LoRALinear] = {}
    for name in names:
        base = model.get_submodule(name)
        if base in made.values():  # in a block that stands twice
            continue
        if base not in made:
            made[base] = LoRALinear(base, rank, alpha, dropout)
        model.set_submodule(name, made[base])


def _adapters(model: nn.Module) -> dict[str, LoRALinear]:
    """Every place with an adapter."""
    checks.instance(nn.Module, model=model)
    every = model.named_modules(remove_duplicate=False)
    found = {name: module for name, module in every if isinstance(module, LoRALinear)}
    if not found:
        raise ValueError("model must have adapters, as add_lora adds them, got one without")
    return found
