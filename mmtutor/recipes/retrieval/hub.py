"""Retrieval at hub scale: CLIP on Flickr30k, as it comes and fine-tuned.

Knows which checkpoint, which table and which settings make one experiment. Everything it does is
elsewhere: loading in `data.flickr30k` and `models.hub_dual_encoder`, training in `fit`, counting in
`evaluation.retrieval`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmtutor.data import Dataset, loader
from mmtutor.data.hub.flickr30k import FLICKR30K, load_flickr30k, one_row_per_caption
from mmtutor.data.hub.preprocess import Preprocess
from mmtutor.evaluation.retrieval.recall import chance_recall, hit_rates, ranks, retrieval_report
from mmtutor.losses import ContrastiveObjective
from mmtutor.models.hub.dual_encoder import HubDualEncoder, load_clip
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, CountOrZero, Rate, Words
from mmtutor.recipes.retrieval.chunked import in_chunks, objective_in_chunks
from mmtutor.recipes.retrieval.scoring import KS, direction
from mmtutor.training import History
from mmtutor.training.optim import mixed_precision

CLIP_B32 = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
CLIP_L14 = "openai/clip-vit-large-patch14"
AUTOCAST = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}


@settings
class Config(TrainConfig):
    """One experiment.

    Attributes:
        model: hub id or local folder of a dual encoder with safetensors weights.
        data: hub id or local folder of a Flickr30k table.
        images: test images used; None for all 1,000. A smaller gallery is an easier task.
        fine_tune: train the checkpoint too; else it is only evaluated as it comes (zero-shot).
        train_images: training images used, each with all its captions; None for all 29,000.
        workers: processes that decode pictures.
        chunk: pairs held in memory at a time while training; None holds the whole batch.

    In training `batch_size` is also the number of candidates; `lr` is small because the weights
    are good already. `precision` is that of evaluation, too.
    """

    model: Words = CLIP_B32
    data: Words = FLICKR30K
    images: Count | None = None
    fine_tune: bool = False
    train_images: Count | None = None
    batch_size: Count = 64
    lr: Rate = 1e-5
    workers: CountOrZero = 0
    chunk: Count | None = None


PRESETS = {
    "tiny": Config(images=12, fine_tune=True, train_images=24, batch_size=8, lr=1e-3),
    "cpu": Config(images=100, batch_size=16),
    "t4": Config(fine_tune=True, train_images=6_000, batch_size=128, workers=2),
    "h100": Config(model=CLIP_L14, fine_tune=True, epochs=2, batch_size=256, lr=5e-6, workers=12),
}


def run(config: Config, progress: bool = True) -> Result:
    """Evaluate a checkpoint on the test split, fine-tune it if asked, and evaluate it again.

    The metrics are what `_evaluate` gives, under `zero_shot` and, after training, `fine_tuned`.
    Without training the history is empty.

    Raises:
        HubUnreachableError: model or data is on the hub, which does not answer, and not cached.
        TypeError: the model is not a dual encoder.
        ValueError: the table lacks a column or a split.
    """
    torch.manual_seed(config.seed)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    test = load_flickr30k(config.data, "test", limit=config.images)
    model, prepare = load_clip(config.model, device)
    metrics, history = {"zero_shot": _evaluate(model, prepare, test, config)}, History()
    if config.fine_tune:
        history = _fine_tune(model, prepare, config, progress)
        metrics["fine_tuned"] = _evaluate(model, prepare, test, config)
    return Result(metrics=metrics, history=history, model=model, config=config)


def _fine_tune(
    model: HubDualEncoder, prepare: Preprocess, config: Config, progress: bool = True
) -> History:
    """Train all weights of `model` in place on the training split, validated after every epoch."""
    images = load_flickr30k(config.data, "train", limit=config.train_images)
    pairs = one_row_per_caption(images).with_transform(prepare)
    order = {"shuffle": True, "seed": config.seed, "drop_last": True}
    batches = loader(pairs, config.batch_size, **order, workers=config.workers)
    held_out = load_flickr30k(config.data, "val", limit=config.images)
    validate = lambda _: _validate(model, prepare, held_out, config)  # noqa: E731
    trained, objective = in_chunks(model, config.chunk), _objective_of(model, config.chunk)
    return train(config, trained, objective, batches, progress, validate=validate)


def _objective_of(model: HubDualEncoder, chunk: int | None = None) -> ContrastiveObjective:
    """The loss the checkpoint was trained with, starting from its learned scale and bias."""
    make, scale = objective_in_chunks(chunk), model.logit_scale
    if model.logit_bias is None:
        return make("info_nce", init_scale=scale)
    objective = make("sigmoid", init_scale=scale, max_scale=max(scale, 100.0))
    torch.nn.init.constant_(objective.bias, model.logit_bias)
    return objective


def _evaluate(
    model: HubDualEncoder, prepare: Preprocess, images: Dataset, config: Config
) -> dict[str, Any]:
    """Retrieval in both directions between all images and all their captions.

    Counts of `images` and `captions`, and for `image_to_text` and `text_to_image`: `recall_at_k`
    with bootstrap 95 % intervals over images, median rank, mean reciprocal rank, `chance`, and
    `shuffled`, the control: the same scores against names in random order, which must be at chance.
    """
    scores, image_group, text_group = _similarities(model, prepare, images, config)
    relevant = image_group[:, None] == text_group  # [I, T]
    return {
        "images": len(image_group),
        "captions": len(text_group),
        "image_to_text": _direction(scores, relevant, image_group, config.seed),
        "text_to_image": _direction(scores.T, relevant.T, text_group, config.seed),
    }


def _direction(scores: Tensor, relevant: Tensor, group: Tensor, seed: int) -> dict[str, Any]:
    """What `_evaluate` reports of queries (Q, G) that belong to the images `group` (Q,)."""
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    chance = chance_recall(relevant, KS)
    shuffled = hit_rates(ranks(scores, relevant[order]), KS)
    return {
        **direction(ranks(scores, relevant), group),
        "chance": {f"recall_at_{k}": chance[k] for k in KS},
        "shuffled": {f"recall_at_{k}": shuffled[k] for k in KS},
    }


def _similarities(
    model: HubDualEncoder, prepare: Preprocess, images: Dataset, config: Config
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines (I, T) of all images and all captions, and their groups (I,) and (T,), on the CPU.

    Every image is encoded once, however many captions it has.
    """
    captions = one_row_per_caption(images)
    texts = Dataset({key: captions.column(key) for key in ("caption", "group")}, prepare)
    batches = partial(loader, batch_size=config.batch_size, workers=config.workers)
    dtype = AUTOCAST[mixed_precision(config.precision)]
    image, image_group = _embed(model.encode_image, batches(images.with_transform(prepare)), dtype)
    text, text_group = _embed(model.encode_text, batches(texts), dtype)
    return image @ text.T, image_group, text_group


@torch.inference_mode()
def _embed(
    encode: Callable[[dict[str, Tensor]], Tensor],
    batches: Iterable[dict[str, Tensor]],
    dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) float32 and groups (N,) of all batches, on the CPU."""
    device = encode.__self__.mean.device
    rows, groups = [], []
    for batch in batches:
        batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            rows.append(encode(batch).float().cpu())
        groups.append(batch["group"].cpu())
    return torch.cat(rows), torch.cat(groups)


def _validate(
    model: HubDualEncoder, prepare: Preprocess, images: Dataset, config: Config
) -> dict[str, float]:
    scores, image_group, text_group = _similarities(model, prepare, images, config)
    return retrieval_report(scores, image_group[:, None] == text_group[None, :])
