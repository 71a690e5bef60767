"""One small model in PyTorch, in Keras on TensorFlow, and in JAX: same weights, same numbers.

Knows the three forms of the model, how its weights go from one to the other, and two ways of
carrying them over wrongly. All but PyTorch's form needs the extra `frameworks`, imported only here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import collate, load
from mmtutor.data.shapes.scene import SHAPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import Tokenize
from mmtutor.machine import versions
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, CountOrZero, Presets, Rate
from mmtutor.training import History

EPSILON = 1e-5  # of the layer normalisation: PyTorch's default, not Keras's
NEEDED = ("tensorflow", "keras", "jax")

# By PyTorch's names: what Keras calls a weight, and the order of its axes there.
IN_KERAS = {
    "conv.weight": ("conv/kernel", (2, 3, 1, 0)),  # [out, in, 4, 4] -> [4, 4, in, out]
    "conv.bias": ("conv/bias", (0,)),
    "embed.weight": ("embed/embeddings", (0, 1)),
    "norm.weight": ("norm/gamma", (0,)),
    "norm.bias": ("norm/beta", (0,)),
    "head.weight": ("head/kernel", (1, 0)),  # [out, in] -> [in, out]
    "head.bias": ("head/bias", (0,)),
}

Arrays = dict[str, np.ndarray]
Step = tuple[Any, Any, dict[str, Any]]  # logits, loss, gradients, in a framework's own arrays


@settings
class Config(Presets):
    """What one run does.

    Attributes:
        batch: examples in the one batch that is used.
        dim: channels of the picture, and numbers a word.
        steps: of plain gradient descent, at rate `lr`.
        seed: draws the scenes and the first weights.
    """

    batch: Count = 16
    dim: Count = 16
    steps: Count = 20
    lr: Rate = 0.1
    seed: CountOrZero = 0


PRESETS = {"tiny": Config(batch=4, dim=4, steps=2)} | dict.fromkeys(("cpu", "t4", "h100"), Config())


class _Course(NamedTuple):
    """What a framework found, by the names and the layout of PyTorch."""

    logits: np.ndarray  # [batch, classes], before the first step
    gradients: Arrays  # of the first step, by the names of the weights
    losses: list[float]  # before each step
    passes: int  # how often Python itself went through the lines of a step


def run(config: Config, progress: bool = True) -> Result:
    """The model in all three, and twice carried over to Keras wrongly; `gaps` are from PyTorch.

    Raises ImportError, saying what to install.
    """
    if absent := missing():
        install = 'pip install "mmtutor[frameworks]"'
        raise ImportError(f"{', '.join(absent)} not installed; this recipe needs {install}")
    weights, data = task(config)
    courses = {
        "torch": in_torch(weights, data, config),
        "keras": in_keras(weights, data, config),
        "jax": in_jax(weights, data, config),
        "keras, its own epsilon": in_keras(weights, data, config, epsilon=None),
        "keras, reshaped": in_keras(weights, data, config, carry=reshaped),
    }
    right = courses["torch"]
    metrics = {
        "gaps": {way: gaps(course, right) for way, course in courses.items() if way != "torch"},
        "logits": {way: courses[way].logits.tolist() for way in ("torch", "keras", "jax")},
        "losses": {way: course.losses for way, course in courses.items()},
        "passes": {way: course.passes for way, course in courses.items()},
        "defaults": defaults(),
        "versions": versions("tensorflow", "tensorflow-cpu", "keras", "jax"),
    }
    history = History(loss=right.losses, learning_rate=[config.lr] * config.steps)
    return Result(metrics, history, InTorch(*weights["embed.weight"].shape), config)


def missing() -> list[str]:
    """Which of the packages that the three frameworks need are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def task(config: Config) -> tuple[Arrays, Arrays]:
    """First weights, as PyTorch draws them, and one batch: image [B, 3, 32, 32] float32, tokens
    [B, L] and label [B] int64, the first shape of the scene."""
    scenes = load("shapes", n=config.batch, size=32, seed=config.seed)
    words = WordTokenizer.fit(scenes.column("caption"))
    data = collate([scenes.with_transform(Tokenize(words))[i] for i in range(config.batch)])
    data["label"] = data["shape"][:, 0]
    torch.manual_seed(config.seed)
    model = InTorch(words.size, config.dim)
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    return weights, {name: data[name].numpy() for name in ("image", "tokens", "label")}


class InTorch(nn.Module):
    """A picture in patches and its caption, to the logits of a class; padding counts as a word."""

    def __init__(self, words: int, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, dim, 4, stride=4)
        self.embed = nn.Embedding(words, dim)
        self.norm = nn.LayerNorm(2 * dim, eps=EPSILON)
        self.head = nn.Linear(2 * dim, len(SHAPES))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        picture = self.conv(batch["image"]).relu().mean((2, 3))
        caption = self.embed(batch["tokens"]).mean(1)
        return self.head(self.norm(torch.cat([picture, caption], 1)))


def in_torch(weights: Arrays, data: Arrays, config: Config) -> _Course:
    """Eager: each line computes at once, and a tape of what was done is kept for `backward`."""
    model = InTorch(*weights["embed.weight"].shape)
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    batch = {name: torch.tensor(column) for name, column in data.items()}
    optimizer = torch.optim.SGD(model.parameters(), config.lr)
    passes = []

    def step() -> Step:
        passes.append("Python was here")
        logits = model(batch)
        loss = F.cross_entropy(logits, batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        return logits.detach(), loss.item(), gradients

    return _course(step, config.steps, passes)


def keras_model(words: int, dim: int, epsilon: float | None = EPSILON) -> Any:
    """The same layers; pictures are [B, H, W, 3] here. `epsilon` None leaves Keras its own."""
    keras = _keras()
    layers = keras.layers
    image, tokens = keras.Input((None, None, 3), name="image"), keras.Input((None,), name="tokens")
    picture = layers.Conv2D(dim, 4, strides=4, activation="relu", name="conv")(image)
    picture = layers.GlobalAveragePooling2D()(picture)
    caption = layers.Embedding(words, dim, name="embed")(tokens)
    caption = layers.GlobalAveragePooling1D()(caption)
    both = layers.Concatenate()([picture, caption])
    own = {} if epsilon is None else {"epsilon": epsilon}
    both = layers.LayerNormalization(name="norm", **own)(both)
    logits = layers.Dense(len(SHAPES), name="head")(both)
    return keras.Model({"image": image, "tokens": tokens}, logits)


def in_keras(
    weights: Arrays,
    data: Arrays,
    config: Config,
    epsilon: float | None = EPSILON,
    carry: Callable[[np.ndarray, tuple[int, ...]], np.ndarray] = np.transpose,
) -> _Course:
    """A graph: `tf.function` runs through the lines once, and TensorFlow repeats what it noted."""
    keras = _keras()
    import tensorflow as tf

    model = keras_model(*weights["embed.weight"].shape, epsilon)
    variables = {variable.path: variable for variable in model.trainable_variables}
    learned = {name: variables[path] for name, (path, _) in IN_KERAS.items()}
    for name, (_, axes) in IN_KERAS.items():
        learned[name].assign(carry(weights[name], axes))
    batch = {"image": data["image"].transpose(0, 2, 3, 1), "tokens": data["tokens"]}
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(config.lr)
    optimizer.build(list(learned.values()))
    passes = []

    @tf.function
    def step() -> Step:
        passes.append("Python was here")
        with tf.GradientTape() as tape:
            logits = model(batch)
            loss = cross_entropy(data["label"], logits)
        slopes = tape.gradient(loss, [variable.value for variable in learned.values()])
        optimizer.apply(slopes, list(learned.values()))
        return logits, loss, dict(zip(learned, map(tf.convert_to_tensor, slopes), strict=True))

    course = _course(step, config.steps, passes)
    back = {n: g.transpose(np.argsort(IN_KERAS[n][1])) for n, g in course.gradients.items()}
    return course._replace(gradients=back)


def jax_logits(weights: dict[str, Any], batch: dict[str, Any]) -> Any:
    """No layers and no state: a function of the weights, which are a plain dict of arrays."""
    from jax import lax, nn
    from jax import numpy as jnp

    picture = lax.conv(batch["image"], weights["conv.weight"], (4, 4), "VALID")
    picture = nn.relu(picture + weights["conv.bias"][:, None, None]).mean((2, 3))
    both = jnp.concatenate([picture, weights["embed.weight"][batch["tokens"]].mean(1)], 1)
    both = nn.standardize(both, axis=-1, epsilon=EPSILON)
    both = both * weights["norm.weight"] + weights["norm.bias"]
    return both @ weights["head.weight"].T + weights["head.bias"]


def in_jax(weights: Arrays, data: Arrays, config: Config) -> _Course:
    """Functions of functions: `value_and_grad` makes the derivative, `jit` compiles it."""
    import jax

    batch, passes = {name: jax.numpy.asarray(column) for name, column in data.items()}, []

    def loss_of(weights: dict[str, Any]) -> tuple[Any, Any]:
        logits = jax_logits(weights, batch)
        right = jax.nn.one_hot(batch["label"], len(SHAPES))
        return -(right * jax.nn.log_softmax(logits)).sum(1).mean(), logits

    @jax.jit
    def update(weights: dict[str, Any]) -> tuple[dict[str, Any], Step]:
        passes.append("Python was here")
        (loss, logits), slopes = jax.value_and_grad(loss_of, has_aux=True)(weights)
        moved = jax.tree.map(lambda weight, slope: weight - config.lr * slope, weights, slopes)
        return moved, (logits, loss, slopes)

    def step() -> Step:
        nonlocal weights
        weights, found = update(weights)
        return found

    return _course(step, config.steps, passes)


def reshaped(weight: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The right shape, the wrong order: what `reshape` makes where `transpose` was meant."""
    return weight.reshape([weight.shape[axis] for axis in axes])


def gaps(course: _Course, right: _Course) -> dict[str, float]:
    """The largest absolute differences of `logits`, `gradients` and `losses`."""

    def most(one: Any, other: Any) -> float:
        return float(np.abs(np.subtract(one, other)).max())

    slopes = [most(course.gradients[name], slope) for name, slope in right.gradients.items()]
    found = {"logits": most(course.logits, right.logits), "gradients": max(slopes)}
    return found | {"losses": most(course.losses, right.losses)}


def defaults() -> dict[str, tuple[float, float]]:
    """What PyTorch and Keras do if nothing is said; of first weights the standard deviation."""
    layers, optimizers = _keras().layers, _keras().optimizers
    ours, theirs = nn.Embedding(100, 100), layers.Embedding(100, 100)
    theirs.build()
    adam = torch.optim.Adam(ours.parameters()).defaults["eps"]
    kept = 1 - nn.BatchNorm1d(1).momentum
    return {
        "first weights of an embedding": (ours.weight.std().item(), np.std(theirs.embeddings)),
        "epsilon of LayerNorm": (nn.LayerNorm(1).eps, layers.LayerNormalization().epsilon),
        "share of the old mean in BatchNorm": (kept, layers.BatchNormalization().momentum),
        "epsilon of Adam": (adam, optimizers.Adam().epsilon),
    }


def _course(step: Callable[[], Step], steps: int, passes: list) -> _Course:
    """What so many calls of `step` give."""
    found = [step() for _ in range(steps)]
    logits, _, slopes = found[0]
    gradients = {name: np.asarray(slope) for name, slope in slopes.items()}
    losses = [float(loss) for _, loss, _ in found]
    return _Course(np.asarray(logits), gradients, losses, len(passes))


def _keras() -> Any:
    """Keras, computing with TensorFlow, which else says on stderr what the processor can do."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import keras

    return keras
