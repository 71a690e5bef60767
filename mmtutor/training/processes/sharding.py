"""A model whose weights, gradients and moments are divided among the processes that train it.

Knows PyTorch's `fully_shard` (Zhao et al. 2023) and the tensors it leaves, of which each process
holds some rows. Knows nothing of batches, schedules or files. What takes a second to import is
imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmtutor.training.generators import held

CONTAINERS = nn.ModuleList, nn.ModuleDict  # which are not called


def shard(both: nn.Module, device: torch.device) -> nn.Module:
    """`both`, where a copy is in the place of `both.model` of which each process holds its rows.

    The entries of each `nn.ModuleList`, such as the blocks of a Transformer, are gathered one at a
    time, when they are called; all else together. Numbers on their own cannot be divided: they and
    the objective are whole on the device. All start as the first process's do.

    Raises:
        ValueError: there is one process, or the objective holds weights of the model.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    _check(both)
    state = both.model.state_dict()
    both.model = deepcopy(both.model)
    numbers = {parameter for parameter in both.model.parameters() if not parameter.ndim}
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for part in (*_blocks(both.model), both.model):
        fully_shard(part, mesh=mesh, ignored_params=numbers)
    divided = both.model.state_dict()
    both.model.load_state_dict({name: divided_as(x, state[name]) for name, x in divided.items()})
    for parameter in by_kind(both.parameters())[0]:
        parameter.data = parameter.to(device)
        dist.broadcast(parameter.data, 0)
    return both


def _check(both: nn.Module) -> None:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        raise ValueError("sharded needs several processes, got one: start them by torchrun")
    own = {id(parameter) for parameter in both.model.parameters()}
    if any(id(found) in own for found in held([both.objective], (nn.Parameter,))):
        raise ValueError("objective must not hold weights of the model where those are sharded")


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The entries of the outermost lists that hold weights."""
    for child in module.children():
        if isinstance(child, CONTAINERS) or not isinstance(module, nn.ModuleList):
            yield from _blocks(child)
        elif any(parameter.ndim for parameter in child.parameters()):
            yield child


def is_divided(x: Any) -> bool:
    """Whether `x` is a tensor of which each process holds a part."""
    return hasattr(x, "full_tensor")


def gathered(state: Any) -> Any:
    """A state dict with whole tensors, in all processes: what is divided comes to the CPU."""
    return tree_map(lambda x: x.full_tensor().cpu() if is_divided(x) else x, state)


def divided_as(like: Tensor, whole: Tensor) -> Tensor:
    """Of the first process's `whole` what this one holds of `like`: all, if that is not divided."""
    if not is_divided(like):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.detach().to(like.device), like.device_mesh, like.placements)


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """`optimizer.load_state_dict` of a state that was `gathered`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, moments in state["state"].items():
        like = parameters[number]
        for name, x in moments.items():
            if isinstance(x, Tensor) and x.shape == like.shape:
                moments[name] = divided_as(like, x)
    optimizer.load_state_dict(state)


def by_kind(parameters: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], ...]:
    """Those that are whole and those that are divided, for operations that do not take both."""
    parameters = list(parameters)
    return tuple([p for p in parameters if is_divided(p) == kind] for kind in (False, True))


def average_and_clip(parameters: Iterable[nn.Parameter], largest: float | None) -> None:
    """Average over the processes the gradients that `fully_shard` does not, and clip all together.

    `largest` norm of the whole gradient; None does not clip.
    """
    kinds = by_kind(parameter for parameter in parameters if parameter.grad is not None)
    for parameter in kinds[0]:
        dist.all_reduce(parameter.grad.div_(dist.get_world_size()))
    if largest is not None:
        norms = [nn.utils.get_total_norm([p.grad for p in kind]) for kind in kinds if kind]
        norm = torch.stack([n.full_tensor() if is_divided(n) else n for n in norms]).norm()
        for kind in kinds:
            nn.utils.clip_grads_with_norm_(kind, largest, norm)
