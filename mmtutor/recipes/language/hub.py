"""A vision-language model at hub scale: SmolVLM or Qwen-VL, as it comes and fine-tuned by LoRA.

Knows which checkpoint, which questions and which settings make one experiment. Everything it does
is elsewhere: loading and LoRA in `models.hub`, training in `fit`, counting in `evaluation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import torch
from torch.utils.data import DataLoader

from mmtutor.data import Dataset
from mmtutor.data.shapes.scene import SHAPES
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.generation.hallucination import Sampling, pope_questions, says_yes
from mmtutor.evaluation.retrieval.probing import pope
from mmtutor.losses import next_token
from mmtutor.models.hub.fine_tuned import FineTuned
from mmtutor.models.hub.vqa import HubVqa, load_vqa
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate, Words
from mmtutor.recipes.vqa import hub as vqa_hub
from mmtutor.training.optim import mixed_precision

SMOLVLM = "HuggingFaceTB/SmolVLM-Instruct"  # 2.2 billion weights


@settings
class Config(TrainConfig):
    """One experiment.

    Attributes:
        model: hub id or local folder of a model that takes prompts, with safetensors weights.
        data: "shapes-questions" or "easy-vqa"; or hub id or local folder of a table like VQAv2,
            with splits "train" and "validation".
        train: how many questions are learned from.
        questions: how many of other pictures are asked, before and after; None for all.
        four_bits: keep the frozen weights in 4 bits; needs a CUDA GPU and `bitsandbytes`.
        rank: of LoRA.

    On a GPU without bf16, such as a T4, `precision` "auto" is fp16. Between the layers a model in 4
    bits is kept in fp32, but a layer may still overflow: training then stops, and "fp32" is slower.
    """

    model: Words = vqa_hub.SMOLVLM
    data: Words = "shapes-questions"
    train: Count = 500
    questions: Count | None = 50
    four_bits: bool = False
    rank: Count = 8
    batch_size: Count = 8
    lr: Rate = 2e-4

    def _check(self) -> None:
        if self.sharded:
            raise ValueError("sharded is True: expected False, for LoRA is saved without the model")


PRESETS = {  # "tiny" is meant for tiny stand-ins
    "tiny": Config(train=48, questions=12, epochs=4, lr=1e-2),
    "cpu": Config(),
    "t4": Config(model=SMOLVLM, four_bits=True, train=5_000, questions=500),
    "h100": Config(model=vqa_hub.QWEN3_VL, train=50_000, questions=2_000, batch_size=32, lr=1e-4),
}


def run(config: Config, progress: bool = True) -> Result:
    """Ask a checkpoint as it comes, fine-tune it, and ask again.

    The metrics are what `_evaluate` gives, under `as_it_comes` and `fine_tuned`, the number of
    `parameters` that are trained, and speed. The result's model keeps its adapters alone.

    Raises:
        HubUnreachableError: model or data is on the hub, which does not answer, and not cached.
        ImportError: `transformers`, `peft` or `bitsandbytes` is not installed.
        TypeError: the model takes no prompts.
        ValueError: the table lacks a column or a split, or there is no GPU for 4 bits.
    """
    torch.manual_seed(config.seed)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    ask = vqa_hub.Config(data=config.data, questions=config.questions, seed=config.seed)
    asked = vqa_hub.questions_of(ask)
    learned = vqa_hub.questions_of(replace(ask, split="train", questions=config.train))
    dtype = vqa_hub.DTYPE[mixed_precision(config.precision)]
    answerer = load_vqa(config.model, device, dtype, four_bits=config.four_bits)
    model = FineTuned(answerer, config.rank)
    metrics = {"parameters": parameters(model)}
    metrics["as_it_comes"] = _evaluate(answerer, asked, ask, progress)
    order = {"shuffle": True, "generator": torch.Generator().manual_seed(config.seed)}
    batches = DataLoader(learned, config.batch_size, **order, collate_fn=model.collate)
    history = train(config, model, next_token, batches, progress)
    metrics["fine_tuned"] = _evaluate(answerer, asked, ask, progress)
    metrics["training_examples_per_second"] = history.examples_per_second
    return Result(metrics=metrics, history=history, model=model, config=config)


def _evaluate(model: HubVqa, asked: Dataset, ask: vqa_hub.Config, progress: bool) -> dict[str, Any]:
    """What `recipes.vqa.hub.evaluate` gives; and of pictures of shapes POPE's scores, by how absent
    shapes are chosen: of each picture one that is there and one that is not."""
    metrics = vqa_hub.evaluate(model, asked, ask, progress)
    if ask.data == "shapes-questions":
        shown = [[SHAPES[s] for s in row if s >= 0] for row in asked.column("shape").tolist()]
        for how in get_args(Sampling):
            traps = pope_questions(shown, how, 1, ask.seed)
            pictures = asked.column("image")[[trap.image for trap in traps]]
            data = Dataset({"image": pictures, "question": [trap.text for trap in traps]})
            said = says_yes(vqa_hub._answers(model, data, ask.batch_size, progress))
            present = torch.tensor([trap.present for trap in traps])
            metrics[f"pope_{how}"] = pope(said, present)._asdict()
    return metrics
