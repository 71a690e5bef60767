"""What a computation costs: parameters, operations, time, memory and, where it can be read, energy.

Knows models, batches and calls; does not know what they compute.
"""

from __future__ import annotations

import timeit
import weakref
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.models.modes import evaluating


class Cost(NamedTuple):
    """What one model costs at prediction, on the device that it is on.

    Attributes:
        parameters: numbers that the model holds, frozen ones included.
        flops: floating-point operations for one example, a multiplication and an addition counted
            as two; of matrix products, convolutions and attention only, which are nearly all.
        latency: seconds for a batch of one: the median and its interval.
        throughput: examples a second at the best of the batch sizes tried: from the median time.
        best_batch: that batch size.
        peak_bytes: most memory held at once, parameters not counted, at the largest size tried,
            which is the same for all models.
        joules: energy for one example at that size; None where no counter can be read.
    """

    parameters: int
    flops: int
    latency: Interval
    throughput: Interval
    best_batch: int
    peak_bytes: int
    joules: float | None


def cost(
    model: nn.Module, batch: Batch, sizes: Sequence[int] = (1, 4, 16, 64), repeats: int = 9
) -> Cost:
    """Measure `model` on the first rows of `batch`, in evaluation mode and without gradients.

    Args:
        batch: at least as many examples as the largest of `sizes`, on the model's device.
        sizes: the batch sizes to try; the best of them has the highest throughput.
        repeats: timed calls for each size, after one that does not count.

    Raises ValueError for a batch that is too small.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    checks.same_length(batch=batch)
    sizes = checks.listed(int, sizes=sizes)
    checks.same_length(sizes=sizes)
    checks.at_least(1, repeats=repeats, **{"the smallest of sizes": min(sizes)})
    rows = checks.same_length(**{f"batch[{key!r}]": column for key, column in batch.items()})
    if rows < max(sizes):
        raise ValueError(f"batch must hold {max(sizes)} examples, the largest of sizes, got {rows}")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    most = max(sizes)
    with evaluating(model), torch.no_grad():
        calls = {size: _call(model, batch, size) for size in {1, *sizes}}
        times = {size: _times(call, repeats) for size, call in calls.items()}
        best = max(sizes, key=lambda size: size / median(times[size]))
        took = bootstrap_interval(torch.tensor(times[best]), "median")
        energy = _joules(calls[most], device)
        return Cost(
            sum(p.numel() for p in model.parameters()),
            flops(calls[1]),
            bootstrap_interval(torch.tensor(times[1]), "median"),
            Interval(best / took.estimate, best / took.high, best / took.low),
            best,
            peak_bytes(calls[most], device),
            None if energy is None else energy / most,
        )


def parameters(module: nn.Module) -> int:
    """How many numbers training may change."""
    checks.instance(nn.Module, module=module)
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of a call, as PyTorch counts them; see `Cost.flops`.

    PyTorch sees into its attention layers, but not into `nn.LSTM` and `nn.GRU`, which count 0.
    """
    checks.instance(Callable, call=call)
    fast = torch.backends.mha.get_fastpath_enabled()  # one operation that no counter knows
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # attention as two matrix products: not each version's counter knows each fused kernel
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median wall-clock time of a call, after one that does not count."""
    checks.instance(Callable, call=call)
    checks.at_least(1, repeats=repeats)
    return median(_times(call, repeats))


def once(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, without garbage collection."""
    checks.instance(Callable, call=call)
    return timeit.timeit(call, timer=clock, number=1)


def _joules(call: Callable[[], object], device: torch.device) -> float | None:
    """Energy of one call on `device`, its mean over half a second; None without a counter.

    NVIDIA's driver counts, by `pynvml`; a processor's own counter is for administrators only.
    Everything else that runs on the GPU at the same time is counted too.
    """
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        # by its name, for the driver counts the cards that this process may not see as well
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        card = pynvml.nvmlDeviceGetHandleByUUID(name)
        before = pynvml.nvmlDeviceGetTotalEnergyConsumption(card)  # thousandths of a joule
    except Exception:  # not installed, or a card without a counter
        return None
    calls, started = 0, perf_counter()
    while perf_counter() - started < 0.5:
        call()
        torch.cuda.synchronize(device)
        calls += 1
    return (pynvml.nvmlDeviceGetTotalEnergyConsumption(card) - before) / 1e3 / calls


def peak_bytes(call: Callable[[], object], device: torch.device | None = None) -> int:
    """The most bytes that `call` held at once of the tensors that it made on `device`.

    On a GPU the allocator keeps count, and counts what operations need inside as well. On a CPU
    every tensor is counted from its making to its end, which is exact where the memory of the
    process is not: the system's allocator keeps for later what it is given back. None is the GPU
    if there is one.
    """
    checks.instance(Callable, call=call)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    with _Held() as held:
        call()
    return held.peak


class _Held(TorchDispatchMode):
    """Sees every operation below autograd, and counts the storages that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[int] = set()
        self.now = self.peak = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None):
        given = set(map(id, _storages((args, kwargs))))
        result = operation(*args, **(kwargs or {}))
        for storage in _storages(result):
            if id(storage) not in given | self.known:
                self.known.add(id(storage))
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _gone(self, storage: int, size: int) -> None:
        self.known.discard(storage)
        self.now -= size


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def saved_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that `forward` keeps for its gradient, each storage counted once.

    Parameters are among them. It is the same on every machine, unlike a measured peak.
    """
    checks.instance(Callable, forward=forward)
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()  # alive while we count, so that no memory is used twice
    del kept
    return sum(sizes.values())


def _call(model: nn.Module, batch: Batch, size: int) -> Callable[[], Any]:
    rows = {key: column[:size] for key, column in batch.items()}
    return lambda: model(rows)


def _times(call: Callable[[], object], repeats: int) -> list[float]:
    call()
    return [once(call) for _ in range(repeats)]


def clock() -> float:
    """Seconds, once a GPU, which works behind the program's back, has done all it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()
