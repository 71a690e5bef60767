"""`mmtutor.training`: both loops, the optimisers against PyTorch's own, files written and read."""

from __future__ import annotations

import copy
import math
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.evaluation import training_cost
from mmtutor.training import History, InChunks, fit, load_model, save_model, train
from mmtutor.training.adapters import (
    LoRALinear,
    add_lora,
    load_lora,
    merge_lora,
    save_lora,
)
from mmtutor.training.arguments import check_loss, check_trained
from mmtutor.training.checkpoint import as_bytes, load_strictly, read_tensors, write_tensors
from mmtutor.training.muon import make_muon
from mmtutor.training.optim import (
    SGD,
    Adam,
    AdamW,
    adam_direction,
    descend,
    learning_rate_factor,
    make_optimizer,
    mixed_precision,
)
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Sizes,
    constant,
    constantly,
    count,
    flag,
    floats,
    given,
    number,
    option,
)

FOLDER = Path(tempfile.mkdtemp(prefix="sweep"))
NO_MODULE = {"no module": constantly(None, "abc", 3, [1], {"a": 1}, torch.zeros(2))}
NO_FUNCTION = {"no function": constantly(None, "abc", 3, [1], {"a": 1})}
NO_PATH = {"no path": constantly(None, 3, 0.5, [1], {"a": 1})}


class Line(nn.Module):
    """w x + b, both 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.linear(batch["x"]).squeeze(-1)


def squares(output: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return (output - batch["y"]).square().mean()


class Shifted(nn.Module):
    """An objective that learns, too."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return squares(output + self.shift, batch)


def batches(size: int = 2, rows: int = 4):
    x = torch.arange(3.0 * rows).view(rows, 3) / 10
    return loader(Dataset({"x": x, "y": x.sum(1)}), size)


# What is drawn is made anew for each call: training changes it.
MODEL = given(lambda random, sizes: Line, NO_MODULE)
OBJECTIVE = given(
    lambda random, sizes: squares,
    NO_FUNCTION
    | {
        "vector": constantly(lambda output, batch: output - batch["y"]),
        "column": constantly(lambda output, batch: squares(output, batch).view(1)),
        "number": constantly(
            lambda output, batch: 0.5, lambda output, batch: squares(output, batch).item()
        ),
        "nothing": constantly(lambda output, batch: None),
        "tuple": constantly(lambda output, batch: (squares(output, batch), output)),
        "constant": constantly(lambda output, batch: torch.zeros(())),
        "complex": constantly(lambda output, batch: squares(output, batch) * 1j),
    },
)
OPTIMIZER = {
    "no optimiser": constantly("abc", 3, [1], {"a": 1}),
    "another model's": constantly(lambda model: torch.optim.SGD(Line().parameters(), lr=0.1)),
    "no parameter": constantly(lambda model: torch.optim.SGD([torch.zeros(1, requires_grad=True)])),
}


def made(value: Any, *arguments: Any) -> Any:
    """What a factory of this file makes; anything else as it is."""
    return value(*arguments) if callable(value) and not isinstance(value, nn.Module) else value


def made_for(model: Any, optimizer: Any) -> Any:
    """The optimiser of a model, or of another where the model is spoiled."""
    return made(optimizer, model if isinstance(model, nn.Module) else Line())


def _train(model, objective, loader, optimizer, epochs):
    model = made(model)
    losses = train(model, objective, loader, made_for(model, optimizer), epochs)
    return [*losses, *model.state_dict().values()]


def _fit(model, objective, loader, optimizer=None, **options):
    model = made(model)
    optimizer = made_for(model, optimizer)
    history = fit(
        model, objective, loader, optimizer=optimizer, progress=False, precision="fp32", **options
    )
    return [*history.loss, *model.state_dict().values()]


def _by_hand(epochs: int, accumulate: int, factor) -> list:
    """The losses of `Line` with gradient descent at 0.1, from the gradient's formula."""
    w, b, losses = torch.zeros(3), torch.zeros(()), []
    step = 0
    steps = epochs * math.ceil(2 / accumulate)
    for _ in range(epochs):
        pending = list(batches())
        for i in range(0, len(pending), accumulate):
            group = pending[i : i + accumulate]
            gw, gb, loss = torch.zeros(3), torch.zeros(()), 0.0
            for batch in group:
                error = batch["x"] @ w + b - batch["y"]
                loss += error.square().mean().item() / len(group)
                gw += 2 * (error[:, None] * batch["x"]).mean(0) / len(group)
                gb += 2 * error.mean() / len(group)
            rate = 0.1 * factor(step, steps)
            w, b = w - rate * gw, b - rate * gb
            losses.append(loss)
            step += 1
    return [*losses, w[None], b[None]]


def same(value: list, expected: list) -> bool:
    return len(value) == len(expected) and all(
        torch.allclose(torch.as_tensor(x), torch.as_tensor(y), atol=1e-5)
        for x, y in zip(value, expected, strict=True)
    )


def _schedule(a):
    return lambda step, steps: learning_rate_factor(step, steps, a.warmup, a.schedule)


def _in_chunks(model, chunk, batch):
    return InChunks(made(model), chunk)(batch)


class Sums(nn.Module):
    """The sum of each row, and its negative."""

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        total = batch["x"].sum(1)
        return total, -total


LOOPS = [
    entry(
        _in_chunks,
        of=InChunks,
        model=given(lambda random, sizes: Sums, NO_MODULE),
        chunk=count(),
        batch=given(
            lambda random, sizes: {"x": torch.rand(sizes["B"], 3)},
            {
                "no batch": constantly(None, "abc", 3, [1], torch.zeros(2, 3)),
                "lengths": constantly({"x": torch.zeros(2, 3), "y": torch.zeros(3)}),
                "nothing": constantly({}, {"x": torch.zeros(0, 3)}),
            },
        ),
        holds=lambda value, a: same([*value], [*Sums()(a.batch)]),
    ),
    entry(
        _train,
        of=train,
        model=MODEL,
        objective=OBJECTIVE,
        loader=given(
            lambda random, sizes: batches(),
            {
                "no list": constantly(None, 3, 0.5),
                "no batches": constantly("abc", [1], {"a": 1}, [None], [torch.zeros(2, 3)]),
                "empty": constantly([], iter([])),
            },
        ),
        optimizer=given(
            lambda random, sizes: lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            OPTIMIZER | {"none": constantly(None)},
        ),
        epochs=count(1),
        holds=lambda value, a: same(value, _by_hand(a.epochs, 1, lambda step, steps: 1)),
    ),
    entry(
        _fit,
        of=fit,
        model=MODEL,
        objective=OBJECTIVE,
        loader=given(
            lambda random, sizes: batches(),
            {
                "no loader": constantly(None, "abc", 3, [1], {"a": 1}, [{"x": torch.zeros(1, 3)}]),
                "empty": constantly(
                    loader(
                        Dataset({"x": torch.zeros(1, 3), "y": torch.zeros(1)}), 2, drop_last=True
                    )
                ),
            },
        ),
        optimizer=given(
            lambda random, sizes: lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            OPTIMIZER,
        ),
        epochs=count(1, 3),
        lr=number("(0, inf)"),
        weight_decay=number("[0, inf)"),
        warmup=number("[0, 1]"),
        schedule=option("cosine", "constant"),
        clip_norm=given(
            lambda random, sizes: None,
            {"outside": constantly(0, -1.0, math.nan, math.inf), "words": constantly("1", [1])},
        ),
        accumulate=count(1, 3),
        validate=given(
            lambda random, sizes: None, {"no function": constantly("abc", 3, [1], {"a": 1})}
        ),
        checkpoint=given(lambda random, sizes: None, {"no path": constantly(3, 0.5, [1])}),
        channels_last=flag(),
        augment=given(lambda random, sizes: None, {"no function": constantly("abc", 3)}),
        track=given(lambda random, sizes: None, {"no track": constantly("wandb", 3)}),
        compile=given(lambda random, sizes: None, {"no backend": constantly("inducto", "", 3)}),
        holds=lambda value, a: same(value, _by_hand(a.epochs, a.accumulate, _schedule(a))),
    ),
    entry(
        lambda loss: check_loss(loss),
        of=check_loss,
        loss=floats("N", make=lambda random, sizes: torch.ones((), requires_grad=True))
        .but(
            **{"one axis more": lambda random, x: x.view(1)},
            number=constantly(1.0, 1),
            constant=lambda random, x: x.detach(),
            empty=None,
            NaN=None,
            infinite=None,
            integer=lambda random, x: x.detach().long(),
        )
        .without("array", "list", "half"),
        holds=lambda value, a: value is a.loss,
    ),
    entry(
        lambda model, objective, optimizer: check_trained(
            made(model), objective, made_for(made(model), optimizer)
        ),
        of=check_trained,
        model=constant(lambda: MODEL_OF_ALL),
        objective=constant(squares),
        optimizer=given(
            lambda random, sizes: lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            {k: v for k, v in OPTIMIZER.items() if k != "no optimiser"},
        ),
        holds=lambda value, a: value is None,
    ),
]
MODEL_OF_ALL = Line()


# optimisers

LR = number("(0, inf)", 0.01, 0.5)
DECAY = number("[0, inf)")
EPS = number("(0, inf)", 1e-8, 1e-3)
BETAS = given(
    lambda random, sizes: (random.uniform(0, 0.9), random.uniform(0.5, 0.999)),
    {
        "no pair": constantly(None, 3, 0.5, "abc"),
        "outside": constantly((0.9, 1.0), (-0.1, 0.9), (1.5, 0.9)),
        "NaN": constantly((math.nan, 0.9)),
        "words": constantly(("0.9", "0.99"), (None, 0.9)),
        "three": constantly((0.9, 0.9, 0.9), (0.9,), ()),
    },
)


def three_steps(make, **options) -> list[float]:
    """Where an optimiser goes in a bowl."""
    point = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = make([point], **options)
    for _ in range(3):
        optimizer.zero_grad()
        (point.square() * torch.tensor([1.0, 3.0])).sum().backward()
        optimizer.step()
    return point.detach()


def walks(ours):
    """`ours` as a function of its options, to where it goes in three steps."""

    def walk(lr, weight_decay, **options):
        return three_steps(ours, lr=lr, weight_decay=weight_decay, **options)

    return walk


def as_torch(theirs):
    return lambda value, a: torch.allclose(value, three_steps(theirs, **vars(a)), atol=1e-4)


def _direction(gradient, betas, eps):
    return adam_direction(gradient, {}, betas, eps)


def _descend(loss, start, steps, make):
    return descend(loss, start, steps, make)


def _make_muon(module, lr, weight_decay):
    return [float(group["lr"]) for group in make_muon(module, lr, weight_decay).param_groups]


def _make_optimizer(module, lr, weight_decay):
    return [
        (float(group["lr"]), float(group["weight_decay"]), len(group["params"]))
        for group in make_optimizer(module, lr, weight_decay).param_groups
    ]


OPTIM = [
    entry(
        walks(SGD),
        of=SGD,
        lr=LR,
        weight_decay=DECAY,
        momentum=number("[0, 1)"),
        holds=as_torch(torch.optim.SGD),
    ),
    entry(
        walks(Adam),
        of=Adam,
        lr=LR,
        weight_decay=DECAY,
        betas=BETAS,
        eps=EPS,
        holds=as_torch(torch.optim.Adam),
    ),
    entry(
        walks(AdamW),
        of=AdamW,
        lr=LR,
        weight_decay=DECAY,
        betas=BETAS,
        eps=EPS,
        holds=as_torch(torch.optim.AdamW),
    ),
    entry(
        _direction,
        of=adam_direction,
        # any shape will do
        gradient=floats("N D", nan="propagates").without(
            "one axis more", "one axis less", "empty", "half", "infinite"
        ),
        betas=BETAS,
        eps=number("(0, inf)", 1e-8, 1e-6),
        # at the first step both means are the gradient's own
        holds=lambda value, a: torch.allclose(value, a.gradient.sign(), atol=1e-2),
    ),
    entry(
        _descend,
        of=descend,
        loss=given(
            lambda random, sizes: lambda x: x.square().sum(),
            NO_FUNCTION
            | {
                "vector": constantly(lambda x: x.square().flatten()[:1]),
                "number": constantly(lambda x: 0.5),
                "constant": constantly(lambda x: torch.zeros(())),
            },
        ),
        start=floats("N D", nan="propagates").without(
            "one axis more", "one axis less", "empty", "infinite"
        ),
        steps=count(),
        make=given(
            lambda random, sizes: lambda p: torch.optim.SGD(p, lr=0.25),
            NO_FUNCTION | {"no optimiser": constantly(lambda p: None, lambda p: p)},
        ),
        holds=lambda value, a: torch.allclose(
            value, torch.stack([a.start * 0.5**i for i in range(a.steps + 1)]), atol=1e-5
        ),
    ),
    entry(
        mixed_precision,
        precision=option("fp32", "bf16"),
        holds=lambda value, a: value == {"fp32": "no", "bf16": "bf16"}[a.precision],
    ),
    entry(
        _make_optimizer,
        of=make_optimizer,
        module=given(
            lambda random, sizes: nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)),
            NO_MODULE | {"frozen": constantly(nn.Linear(2, 2).requires_grad_(False), nn.ReLU())},
        ),
        lr=LR,
        weight_decay=DECAY,
        holds=lambda value, a: value == [(a.lr, a.weight_decay, 1), (a.lr, 0.0, 3)],
    ),
    entry(
        _make_muon,
        of=make_muon,
        module=given(
            lambda random, sizes: nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 3)),
            NO_MODULE | {"nothing for it": constantly(nn.Embedding(3, 2), nn.LayerNorm(2))},
        ),
        lr=LR,
        weight_decay=DECAY,
        holds=lambda value, a: value == [a.lr, a.lr],
    ),
    entry(
        learning_rate_factor,
        step=count(0, 9).but(beyond=constantly(20, 21)),
        steps=count(10, 20).but(**{"too small": constantly(0, -1)}),
        warmup=number("[0, 1]"),
        schedule=option("cosine", "constant"),
        holds=lambda value, a: math.isclose(value, _factor(a)),
    ),
]


def _factor(a) -> float:
    rising = round(a.warmup * a.steps)
    if a.step < rising:
        return (a.step + 1) / rising
    done = (a.step - rising) / max(1, a.steps - rising)
    return 1.0 if a.schedule == "constant" else math.cos(math.pi * done / 2) ** 2


# files


def path(random: Random, sizes: Sizes) -> Path:
    return FOLDER / f"{random.getrandbits(40)}.safetensors"


def linear(random: Random, sizes: Sizes) -> nn.Module:
    return nn.Linear(sizes["I"], sizes["O"])


def _save_model(model, path):
    save_model(model, path)
    return read_tensors(path)[0]


def _load_model(model, path):
    """From a file of another model of the same kind, written first."""
    other = Line()
    nn.init.ones_(other.linear.weight)
    if isinstance(path, str | Path) and not Path(path).exists():
        save_model(other, path)
    load_model(model, path)
    return dict(model.state_dict())


def _load_strictly(model, tensors, path):
    load_strictly(model, tensors, path)
    return dict(model.state_dict())


def _write_tensors(path, tensors, metadata):
    write_tensors(path, tensors, metadata)
    return read_tensors(path)


def _as_bytes(tensors, metadata):
    return load(as_bytes(tensors, metadata))


def _read_tensors(path):
    if isinstance(path, Path):
        write_tensors(path, {"a": torch.arange(3)}, {"b": 1})
    return read_tensors(path)


def states(random: Random, sizes: Sizes) -> dict[str, Tensor]:
    return {"linear.weight": torch.rand(1, 3), "linear.bias": torch.rand(1)}


TENSORS = {
    "no mapping": constantly(None, "abc", 3, [1], torch.zeros(2)),
    "no tensor": constantly({"linear.weight": 1, "linear.bias": 2}),
}
FILES = [
    entry(
        _save_model,
        of=save_model,
        model=given(linear, NO_MODULE),
        path=given(path, NO_PATH),
        holds=lambda value, a: all(
            torch.equal(value[k], v) for k, v in a.model.state_dict().items()
        ),
    ),
    entry(
        _load_model,
        of=load_model,
        model=given(lambda random, sizes: Line(), NO_MODULE | {"another": constantly(nn.ReLU())}),
        path=given(path, NO_PATH),
        holds=lambda value, a: bool((value["linear.weight"] == 1).all()),
    ),
    entry(
        _load_strictly,
        of=load_strictly,
        model=given(lambda random, sizes: Line(), NO_MODULE),
        tensors=given(
            states,
            TENSORS
            | {
                "one less": lambda random, x: {"linear.bias": x["linear.bias"]},
                "one more": lambda random, x: x | {"other": x["linear.bias"]},
                "another shape": lambda random, x: x | {"linear.bias": torch.zeros(2)},
            },
        ),
        path=constant("model"),
        holds=lambda value, a: all(torch.equal(value[k], v) for k, v in a.tensors.items()),
    ),
    entry(
        _write_tensors,
        of=write_tensors,
        path=given(path, NO_PATH),
        tensors=given(states, TENSORS | {"number as name": constantly({1: torch.zeros(2)})}),
        metadata=given(
            lambda random, sizes: {"a": [1, 2]},
            {"no mapping": constantly("abc", 3), "no JSON": constantly({"a": torch.zeros(2)})},
        ),
        holds=lambda value, a: (
            value[1] == a.metadata
            and all(torch.equal(value[0][k], v) for k, v in a.tensors.items())
        ),
    ),
    entry(
        _as_bytes,
        of=as_bytes,
        tensors=given(states, TENSORS | {"number as name": constantly({1: torch.zeros(2)})}),
        metadata=given(
            lambda random, sizes: {"a": [1, 2]},
            {"no mapping": constantly("abc", 3), "no JSON": constantly({"a": torch.zeros(2)})},
        ),
        holds=lambda value, a: all(torch.equal(value[k], v) for k, v in a.tensors.items()),
    ),
    entry(
        _read_tensors,
        of=read_tensors,
        path=given(path, NO_PATH),
        holds=lambda value, a: value[0]["a"].tolist() == [0, 1, 2] and value[1] == {"b": 1},
    ),
]


# adapters


def network(random: Random, sizes: Sizes) -> nn.Module:
    torch.manual_seed(random.getrandbits(30))
    return nn.Sequential(nn.Linear(sizes["I"], 4), nn.Tanh(), nn.Linear(4, 2))


def adapted(random: Random, sizes: Sizes) -> nn.Module:
    """With adapters that have learned something."""
    model = network(random, sizes)
    add_lora(model, 2, 3.0)
    for layer in (model[0], model[2]):
        nn.init.normal_(layer.B)
    return model


def _inputs(model: nn.Module) -> Tensor:
    width = getattr(model[0], "base", model[0]).in_features
    return torch.linspace(-1, 1, 3 * width).view(3, -1)


def adapters_path(random: Random, sizes: Sizes) -> Path:
    return FOLDER / f"lora-{random.getrandbits(40)}.safetensors"


def _layer(base, rank, alpha, dropout):
    return LoRALinear(base, rank, alpha, dropout)(torch.ones(1, base.in_features))


def _add_lora(model, rank, alpha, targets, dropout):
    """What it computes at first, and how many numbers learn."""
    model = copy.deepcopy(model)
    add_lora(model, rank, alpha, targets, dropout)
    return model.eval()(_inputs(model)), sum(
        p.numel() for p in model.parameters() if p.requires_grad
    )


def _learned(a) -> int:
    d = a.model[0].in_features
    return a.rank * sum(n for name, n in (("0", d + 4), ("2", 4 + 2)) if name in a.targets)


def _merge_lora(model):
    model = copy.deepcopy(model)
    merge_lora(model)
    return model(_inputs(model))


def _save_lora(model, path):
    save_lora(model, path)
    return read_tensors(path)[0]


def _load_lora(model, path):
    """From a file of another model of the same kind, written first."""
    model = copy.deepcopy(model)
    if isinstance(path, Path) and isinstance(model, nn.Sequential):
        other = copy.deepcopy(model)
        add_lora(other, 2, 3.0)
        nn.init.ones_(other[0].B)
        save_lora(other, path)
    load_lora(model, path)
    return model[0].B


RANK = count(1)
ALPHA = number("(0, inf)")
SHARE = number("[0, 1)")
WITHOUT = NO_MODULE | {"without": constantly(nn.ReLU(), Line())}
ADAPTERS = [
    entry(
        _layer,
        of=LoRALinear,
        base=given(linear, {"no layer": constantly(nn.ReLU(), Line())}),
        rank=RANK,
        alpha=ALPHA,
        dropout=SHARE,
        holds=lambda value, a: torch.equal(value, a.base(torch.ones(1, a.base.in_features))),
    ),
    entry(
        _add_lora,
        of=add_lora,
        model=given(
            network,
            NO_MODULE
            | {
                "no layer": constantly(nn.ReLU()),
                "twice": lambda random, model: adapted(random, {"I": 3}),
            },
        ),
        rank=RANK,
        alpha=ALPHA,
        targets=given(
            lambda random, sizes: random.choice([["0"], ["2"], ["0", "2"]]),
            {"no names": constantly("0", 3, [], [3], ["4"], [""]), "no layer": constantly(["1"])},
        ),
        dropout=SHARE,
        holds=lambda value, a: (
            torch.equal(value[0], a.model(_inputs(a.model))) and value[1] == _learned(a)
        ),
    ),
    entry(
        _merge_lora,
        of=merge_lora,
        model=given(adapted, WITHOUT),
        holds=lambda value, a: torch.allclose(value, a.model(_inputs(a.model)), atol=1e-5),
    ),
    entry(
        _save_lora,
        of=save_lora,
        model=given(adapted, WITHOUT),
        path=given(adapters_path, NO_PATH),
        holds=lambda value, a: (
            set(value) == {"0.A", "0.B", "2.A", "2.B"} and torch.equal(value["2.B"], a.model[2].B)
        ),
    ),
    entry(
        _load_lora,
        of=load_lora,
        model=given(network, NO_MODULE),
        path=given(adapters_path, NO_PATH),
        holds=lambda value, a: bool((value == 1).all()),
    ),
]


# costs of training


def _step_cost(model, objective, loader, optimizer, steps, peak_flops):
    model = made(model)
    return training_cost.step_cost(
        model, objective, loader, made_for(model, optimizer), steps, peak_flops
    )


def _adds_up(value, a) -> bool:
    total = value.data + value.forward + value.backward + value.update
    counted = 2 * 2 * 2 * 3  # forward and for the gradient of the weights; two examples of three
    return (
        value.flops == counted
        and math.isclose(value.examples_per_second, 2 / total)
        and math.isclose(value.utilisation, counted / total / a.peak_flops)
    )


COSTS = [
    entry(
        _step_cost,
        of=training_cost.step_cost,
        model=MODEL,
        objective=OBJECTIVE,
        loader=given(
            lambda random, sizes: batches(rows=12),
            {
                "no list": constantly(None, 3, 0.5),
                "no batches": constantly("abc", [1], {"a": 1}, [None], [torch.zeros(2, 3)]),
                "too few": constantly([], iter([]), batches(rows=2)),
            },
        ),
        optimizer=given(
            lambda random, sizes: lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            OPTIMIZER | {"none": constantly(None)},
        ),
        steps=count(1, 3).without("numpy", "numpy 32"),
        # times are never twice the same, and None is allowed
        peak_flops=given(
            lambda random, sizes: random.uniform(1e6, 1e9),
            {"outside": constantly(0, -1.0, math.nan, math.inf), "words": constantly("1", [1])},
        ),
        holds=_adds_up,
    ),
    entry(
        training_cost.training_flops,
        parameters=number("(0, inf)", 1.0, 9.0),
        tokens=number("(0, inf)", 1.0, 9.0),
        holds=lambda value, a: math.isclose(value / a.tokens, 6 * a.parameters),
    ),
    entry(
        training_cost.run_cost,
        operations=number("(0, inf)", 1.0, 9.0),
        peak_flops=number("(0, inf)", 1.0, 9.0),
        utilisation=number("(0, 1]"),
        gpus=count(1),
        hour_price=number("[0, inf)"),
        holds=lambda value, a: (
            math.isclose(value.hours * a.gpus, value.gpu_hours)
            and math.isclose(value.price, value.gpu_hours * a.hour_price)
            and math.isclose(value.gpu_hours * 3600 * a.utilisation * a.peak_flops, a.operations)
        ),
    ),
]


def _history(loss, seconds, examples):
    history = History(loss=loss, seconds=seconds, examples=examples)
    return {**history.to_dict(), "rate": history.examples_per_second}


HISTORY = [
    entry(
        _history,
        of=History,
        # a record: `fit` alone fills it
        loss=constant([0.5, 0.25]),
        seconds=constant(2.0),
        examples=constant(10),
        holds=lambda value, a: value["rate"] == 5 and value["loss"] == a.loss,
    )
]
ENTRIES = [*LOOPS, *OPTIM, *FILES, *ADAPTERS, *COSTS, *HISTORY]
OF_FIT = "a part of `fit`, which has checked what it gets"
EXEMPT = {
    "mmtutor.training.arguments.refuses_bad_input": "a decorator; `train` wears it",
    "mmtutor.training.generators.held": OF_FIT,
    "mmtutor.training.processes.batches.Batches": OF_FIT,
    "mmtutor.training.processes.sharding.average_and_clip": OF_FIT,
    "mmtutor.training.processes.sharding.by_kind": OF_FIT,
    "mmtutor.training.processes.sharding.divided_as": OF_FIT,
    "mmtutor.training.processes.sharding.gathered": OF_FIT,
    "mmtutor.training.processes.sharding.is_divided": OF_FIT,
    "mmtutor.training.processes.sharding.restore_optimizer": OF_FIT,
    "mmtutor.training.processes.sharding.shard": OF_FIT,
    "mmtutor.training.engine.Engine": "settings; tried by `fit` and in their own test",
    "mmtutor.training.history.Track": "settings; tried in their own test",
    "mmtutor.training.generators.RandomNumbers": "any objects will do",
    "mmtutor.training.resume.Saves": OF_FIT,
    "mmtutor.training.resume.saved": OF_FIT,
    "mmtutor.training.resume.on_sigterm": "takes a handler as `signal.signal` does",
    "mmtutor.training.run.ModelAndObjective": OF_FIT,
    "mmtutor.training.run.PendingLosses": OF_FIT,
    "mmtutor.training.run.Run": OF_FIT,
    "mmtutor.training.step_folders.Budget": OF_FIT,
    "mmtutor.training.step_folders.Checkpoints": "settings; tried in their own test",
    "mmtutor.training.step_folders.clear": "asked by the command line, with its own folder",
    "mmtutor.training.step_folders.damage": OF_FIT,
    "mmtutor.training.step_folders.differences": OF_FIT,
    "mmtutor.training.step_folders.newest_step": OF_FIT,
    "mmtutor.training.step_folders.runs_in": "asked by the command line, with its own folder",
    "mmtutor.training.step_folders.write_step": OF_FIT,
}
