"""What a computation costs: the memory that its backward pass needs, and its time.

Knows calls; does not know what they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that `forward` keeps for its gradient, each storage counted once.

    Parameters are among them. It is the same on every machine, unlike a measured peak.
    """
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()  # alive while we count, so that no memory is used twice
    del kept
    return sum(sizes.values())


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median wall-clock time of a call on a CPU, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return median(times)
