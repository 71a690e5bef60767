"""Choices around the optimiser: precision, which weights decay, and the learning rate of a step.

Knows parameters and step numbers; knows nothing of data, losses or checkpoints.
"""

import math

import torch
from torch import nn

SCHEDULES = ("cosine", "constant")
PRECISIONS = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


def mixed_precision(precision: str) -> str:
    """Accelerate's name for `precision`; "auto" asks the device.

    On a GPU "auto" is bf16 from compute capability 8.0 on and fp16 before (a T4 has no fast bf16);
    elsewhere it is full precision.

    Raises:
        ValueError: an unknown name, or fp16 without a GPU.
    """
    gpu = torch.cuda.is_available()
    if precision == "auto":
        return ("bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16") if gpu else "no"
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be auto, fp32, fp16 or bf16, got {precision!r}")
    if precision == "fp16" and not gpu:
        raise ValueError("precision fp16 needs a GPU; on a CPU use fp32 or bf16")
    return PRECISIONS[precision]


def make_optimizer(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters (Loshchilov and Hutter 2019).

    Only matrices and kernels decay: pulling biases, normalisation gains or a temperature towards
    zero regularises nothing.

    Raises:
        ValueError: nothing is trainable.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("nothing to train: no parameter of the model or objective requires grad")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = trainable[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, fused=fused)


def learning_rate_factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Factor on the learning rate at optimiser step `step` of `steps`, in (0, 1].

    Rises linearly over the first `warmup` share of all steps, then stays ("constant") or falls to
    zero along half a cosine ("cosine", Loshchilov and Hutter 2017, eq. 5, without restarts).
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2
