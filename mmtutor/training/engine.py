"""How the work of `fit` is done: number and memory formats, compiled code, what comes on top.

Knows devices, modules and batches; knows nothing of epochs, losses or optimisers.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.training.history import Track
from mmtutor.training.optim import mixed_precision
from mmtutor.training.processes.sharding import shard

BACKENDS = ("inductor", "aot_eager", "eager")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Further arguments of `fit`.

    Attributes:
        precision: see `mixed_precision`.
        channels_last: kernels and batches of shape (B, C, H, W) keep the channels of a pixel side
            by side, as the fastest convolutions of a GPU read them.
        compile: the backend of `torch.compile` for the model: "inductor" writes code for the
            device, the other two find out what can be compiled; None leaves the model as it is.
        sharded: of the weights, their gradients and the optimiser's moments each process holds a
            part, on its device (FSDP). The model itself waits in the host's memory; it is whole
            again, with what was learned, for `validate` and after training.
        augment: changes the pictures of a batch, `image`, once they are on the device, such as
            `data.augment.AugmentPictures`; None leaves them alone.
        track: tells TensorBoard or Weights & Biases of every step and every epoch; None tells none.

    Raises:
        ValueError: an unknown precision or backend, "inductor" without a C++ compiler, or what does
            not go with `sharded`.
    """

    precision: str = "auto"
    channels_last: bool = False
    compile: str | None = None
    sharded: bool = False
    augment: Callable[[Tensor], Tensor] | None = None
    track: Track | None = None

    def __post_init__(self) -> None:
        if self.compile is not None:
            _check_backend(self.compile)
        self._check_sharded()
        checks.instance((Track, type(None)), track=self.track)
        checks.instance((Callable, type(None)), augment=self.augment)

    def _check_sharded(self) -> None:
        half = mixed_precision(self.precision) == "fp16"
        if self.sharded and (self.channels_last or self.compile or half):
            raise ValueError("sharded does not go with channels_last, compile or precision fp16")

    @contextmanager
    def accelerator(self) -> Iterator[Accelerator]:
        """Each process reads its own batches. Settings are for one `fit`; the next may differ."""
        try:
            yield Accelerator(
                mixed_precision=mixed_precision(self.precision),
                dataloader_config=DataLoaderConfiguration(dispatch_batches=False),
            )
        finally:
            AcceleratorState._reset_state()
            GradientState._reset_state()

    def prepare(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module itself, moved to the device or divided among those of all processes."""
        if self.sharded:
            return shard(module, device)
        module.to(device)
        for tensor in module.parameters() if self.channels_last else ():
            tensor.data = _channels_last(tensor.data)
        return module

    def arrange(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A batch that is on the device, as the model shall get it."""
        if self.augment is not None:
            require(batch, "image")
            batch = {**batch, "image": self.augment(batch["image"])}
        return {k: _channels_last(x) for k, x in batch.items()} if self.channels_last else batch

    @contextmanager
    def compiled(self, model: nn.Module) -> Iterator[None]:
        """Within the block a call of `model` is compiled; its weights keep their names."""
        if self.compile is not None:
            model.compile(backend=self.compile)
        try:
            yield
        finally:
            model._compiled_call_impl = None


def _channels_last(x: Tensor) -> Tensor:
    return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x


def _check_backend(backend: str) -> None:
    checks.one_of(BACKENDS, compile=backend)
    compiler = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", compiler)
    if backend == "inductor" and not shutil.which(compiler):
        raise ValueError(
            f"compile is 'inductor', which needs the C++ compiler {compiler}, and there is none; "
            "install it, or compile with 'aot_eager'"
        )
