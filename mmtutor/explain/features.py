"""What happens inside: activations of layers, and Grad-CAM, which weighs them.

Knows layers whose output is a map (B, C, h, w) or `Encoded` tokens that lie row by row on a grid.
Knows nothing of what a map is good for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.explain.targets import Target, encoder_of, gradient_by, scores
from mmtutor.models.modes import evaluating


@contextmanager
def _recording(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Any]]]:
    """Within the block, keep every output of each layer, in the order of the calls, by name.

    What goes on through the model is a copy, for the next layer may work in place.
    """
    kept: dict[str, list[Any]] = {name: [] for name in layers}

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Any) -> Any:
            kept[name].append(output)
            return output.clone() if isinstance(output, Tensor) else output

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def activations(model: nn.Module, batch: Batch, layers: Mapping[str, nn.Module]) -> dict[str, Any]:
    """What each layer gave in its last call on `batch`, by name, without gradients.

    Raises:
        TypeError, ValueError: layers are none, or one was not called.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch, layers=layers)
    checks.same_length(layers=layers)
    checks.instance(nn.Module, **{f"layers[{name!r}]": layer for name, layer in layers.items()})
    with evaluating(model), torch.no_grad(), _recording(layers) as kept:
        model(batch)
    return {name: _last(name, calls) for name, calls in kept.items()}


def grad_cam(
    model: nn.Module, batch: Batch, target: Target, layer: nn.Module | str | None = None
) -> Tensor:
    """Which places of a layer's map speak for the score: (B, H, W), at least 0.

    The channels are weighed by their mean gradient over all places, added up, cut at 0 and enlarged
    to the image bilinearly (Selvaraju et al. 2017, eq. 1 and 2).

    Args:
        layer: gives (B, C, h, w), or `Encoded` tokens (B, N, D) on a grid; itself, or its name in
            the model, which a copy of the model has too; by default the encoder of images.

    Raises:
        TypeError, ValueError: the layer is none of the model's, was not called, or its tokens do
            not form a grid.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "image")
    layer = encoder_of(model, "image") if layer is None else layer
    if isinstance(layer, str):
        checks.one_of(dict(model.named_modules()), layer=layer)
        layer = model.get_submodule(layer)
    checks.instance(nn.Module, layer=layer)
    checks.shaped(**{"batch['image']": (batch["image"], "B C H W")})
    checks.floating(**{"batch['image']": batch["image"]})
    checks.finite(**{"batch['image']": batch["image"]})
    with evaluating(model), _recording({"layer": layer}) as kept, torch.enable_grad():
        image = batch["image"].detach().requires_grad_()  # or frozen layers would give no gradient
        score = scores(model, {**batch, "image": image}, target)
        output = _last("layer", kept["layer"])
        tokens = getattr(output, "tokens", output)
        gradient = gradient_by(score, tokens)
    size = batch["image"].shape[-2:]
    maps, gradient = _as_grid(tokens.detach(), size), _as_grid(gradient, size)
    cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
    return _enlarge(cam.squeeze(1), size)


def _as_grid(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Tokens (B, N, D), row by row over an image of `size` (H, W), as a map (B, D, h, w).

    A map comes back as it is. Raises ValueError if N places cannot have the image's proportions.
    """
    if x.ndim == 4:
        return x
    rows = round((x.shape[1] * size[0] / size[1]) ** 0.5)
    if not rows or x.shape[1] % rows:
        raise ValueError(f"{x.shape[1]} tokens form no grid over an image of {tuple(size)}")
    return x.transpose(1, 2).unflatten(2, (rows, -1))


def _enlarge(maps: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """(B, h, w) -> (B, H, W), bilinearly."""
    maps = F.interpolate(maps.unsqueeze(1), tuple(size), mode="bilinear", align_corners=False)
    return maps.squeeze(1)


def _last(name: str, calls: list[Any]) -> Any:
    if not calls:
        raise ValueError(f"layer {name!r} was not called: the model does not use it")
    return calls[-1]
