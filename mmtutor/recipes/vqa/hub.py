"""Question answering at hub scale: ViLT, BLIP or a prompted model on VQAv2, and whether it looks.

Knows which checkpoint, which questions and which controls make one experiment; trains nothing.
Everything it does is elsewhere: loading in `data.hub.vqav2` and `models.hub.vqa`, counting in
`evaluation.vqa`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import torch
from torch import nn
from tqdm import tqdm

from mmtutor.data import Dataset, load
from mmtutor.data.hub.vqav2 import VQAV2, load_vqav2, ten_of_one_mind
from mmtutor.evaluation.modality_use import permuted
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval, by_group
from mmtutor.evaluation.vqa.accuracy import vqa_accuracy
from mmtutor.models.hub.vqa import PROMPT, HubVqa, load_vqa
from mmtutor.recipes.common.config import Count, CountOrZero, Presets, Words, settings
from mmtutor.recipes.common.result import Result
from mmtutor.training import History
from mmtutor.training.optim import mixed_precision

VILT = "dandelin/vilt-b32-finetuned-vqa"
BLIP = "Salesforce/blip-vqa-base"
SMOLVLM = "HuggingFaceTB/SmolVLM-256M-Instruct"
QWEN3_VL = "Qwen/Qwen3-VL-8B-Instruct"
OWN = ("easy-vqa", "shapes-questions")  # the book's own questions
DTYPE = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
GREY = 127


@settings
class Config(Presets):
    """One experiment.

    Attributes:
        model: hub id or local folder of a ViLT, a BLIP or a prompted model with safetensors.
        data: hub id or local folder of a table like VQAv2; or "easy-vqa" or "shapes-questions".
        split: of the table. VQAv2's test splits have no published answers, and ViLT and BLIP were
            fine-tuned on its validation questions too: their scores there flatter them. No model
            can have met "shapes-questions".
        questions: how many, the first of the split; None for all.
        batch_size: questions answered at once.
        prompt: for prompted models, with `{question}`.
        precision: "auto", "fp32", "fp16" or "bf16", of the weights and the arithmetic. On GPUs
            without bf16 "auto" is fp16, in which a prompted model may overflow: then take "fp32".
        seed: of the exchanged pictures.
    """

    model: Words = VILT
    data: Words = VQAV2
    split: Words = "validation"
    questions: Count | None = None
    batch_size: Count = 32
    prompt: Words = PROMPT
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    seed: CountOrZero = 0

    def _check(self) -> None:
        try:
            asks = self.prompt.format(question="?") != self.prompt.format(question="!")
        except (KeyError, IndexError, ValueError):
            asks = False
        if not asks:
            raise ValueError(
                f"prompt is {self.prompt!r}: expected {{question}} and no other braces"
            )


PRESETS = {  # "tiny" is meant for tiny stand-ins
    "tiny": Config(questions=20, batch_size=8),
    "cpu": Config(questions=100, batch_size=8),
    "t4": Config(model=BLIP, questions=2_000, batch_size=64),
    "h100": Config(model=QWEN3_VL, questions=10_000, batch_size=64),
}


def run(config: Config, progress: bool = True) -> Result:
    """Let a checkpoint answer, and again without its pictures and with exchanged ones.

    The metrics are those of `evaluate`. Nothing is trained: the history is empty, and the result's
    `model` holds no weights, for they are the checkpoint's own.

    Raises:
        HubUnreachableError: model or data is on the hub, which does not answer, and not cached.
        TypeError: the model does not answer questions about pictures.
        ValueError: the table lacks a column or the split.
    """
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    questions = questions_of(config)
    dtype = DTYPE[mixed_precision(config.precision)]
    model = load_vqa(config.model, device, dtype, config.prompt)
    metrics = evaluate(model, questions, config, progress)
    return Result(metrics=metrics, history=History(), model=nn.Identity(), config=config)


def questions_of(config: Config) -> Dataset:
    """The questions asked; of the book's own data, as if ten people had answered, the test split,
    unless `split` is "train"."""
    if config.data not in OWN:
        return load_vqav2(config.data, config.split, limit=config.questions)
    many = {"n": config.questions} if config.data == "shapes-questions" and config.questions else {}
    part = "train" if config.split == "train" else "test"
    own = ten_of_one_mind(load(config.data, part, **many))
    return own.subset(range(min(len(own), config.questions or len(own))))


def evaluate(
    model: HubVqa, questions: Dataset, config: Config, progress: bool = False
) -> dict[str, Any]:
    """VQA accuracy with 95 % bootstrap intervals over pictures, by answer type, and the controls.

    Counts of `questions` and `images`; `accuracy`; `by_answer_type`; `constant`, the accuracy of
    always giving the answer that is commonest here; and for each of `_controls`: `accuracy`, `drop`
    (how much worse, question by question) and `unchanged`, the share of answers that stay the same.
    A model that looks must lose by both.
    """
    image, people = questions.column("image_id"), questions.column("answers")
    said = _answers(model, questions, config.batch_size, progress)
    score = vqa_accuracy(said, people).per_question  # [N]
    by_type = by_group(score, questions.column("answer_type"), image)
    common = Counter(questions.column("answer")).most_common(1)[0][0]
    constant = vqa_accuracy([common] * len(people), people).mean
    metrics = {
        "questions": len(questions),
        "images": len(image.unique()),
        "accuracy": bootstrap_interval(score, groups=image)._asdict(),
        "by_answer_type": {kind: found._asdict() for kind, found in by_type.items()},
        "constant": {"answer": common, "accuracy": constant},
    }
    for name, other in _controls(questions, config.seed).items():
        without = _answers(model, other, config.batch_size, progress)
        worse = vqa_accuracy(without, people).per_question
        metrics[name] = {
            "accuracy": bootstrap_interval(worse, groups=image)._asdict(),
            "drop": bootstrap_interval(score - worse, groups=image)._asdict(),
            "unchanged": sum(a == b for a, b in zip(said, without, strict=True)) / len(said),
        }
    return metrics


def _controls(questions: Dataset, seed: int = 0) -> dict[str, Dataset]:
    """The same questions without their pictures: `blank`, a grey one of the same size, and
    `permuted`, another question's and never its own; see `modality_use.permuted`."""
    key = "image" if "image" in questions.columns else "row"  # the picture, or where it lies
    return {
        "blank": questions.with_transform(_blank),
        "permuted": permuted(questions, key, seed=seed, groups="image_id"),
    }


def _blank(example: dict[str, Any]) -> dict[str, Any]:
    return {**example, "image": torch.full_like(example["image"], GREY)}


def _answers(model: HubVqa, questions: Dataset, batch_size: int, progress: bool) -> list[str]:
    """The model's answer to every question, in order."""
    said: list[str] = []
    starts = range(0, len(questions), batch_size)
    for start in tqdm(starts, disable=not progress, unit="batch"):
        batch = questions.__getitems__(range(start, min(start + batch_size, len(questions))))
        said += model.answer([row["image"] for row in batch], [row["question"] for row in batch])
    return said
