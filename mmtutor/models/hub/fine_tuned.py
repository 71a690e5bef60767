"""A pretrained vision-language model that learns answers by LoRA, with `peft`.

Knows what `load_vqa` gives for a model that takes prompts, and which tokens of a chat are the
answer. Does not know data sets or losses. The book's own LoRA, to read, is `training.adapters`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.models.generative.gpt import GPTOutput
from mmtutor.models.hub.vqa import HubVqa, _picture, _PromptedModel

# The projections in the language models of Idefics3, SmolVLM and Qwen-VL, not in their encoders.
LAYERS = r".*\.(text_model|language_model)\..*\.(q|k|v|o|gate|up|down)_proj"


class FineTuned(nn.Module):
    """A vision-language model that is frozen, and LoRA on its language model, which is trained.

    `answerer` answers with what is learned here. Its pictures are no longer cut into tiles, which
    cost some models ten times as many tokens. Weights in 4 bits stay so, as in QLoRA (Dettmers et
    al. 2023), and what a layer computed is computed again for the gradient. The state of this
    module, what `save_model` keeps, is the adapters alone.

    Args:
        answerer: what `load_vqa` gave for a model that takes prompts.
        rank: of the adapters; they count twice.

    Raises:
        ImportError: `peft` is not installed.
        TypeError: the model takes no prompts.
    """

    def __init__(self, answerer: HubVqa, rank: int = 8) -> None:
        super().__init__()
        checks.instance(_PromptedModel, answerer=answerer)
        checks.at_least(1, rank=rank)
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        lora = LoraConfig(r=int(rank), lora_alpha=2 * int(rank), target_modules=LAYERS)
        model, self.answerer = answerer.model, answerer
        with warnings.catch_warnings():  # `peft` uses names that `transformers` gives up
            warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing", FutureWarning)
            if getattr(model, "is_loaded_in_4bit", False):
                again = {"use_reentrant": False}
                prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs=again)
            self.model = get_peft_model(model, lora)
        if hasattr(answerer.processor.image_processor, "do_image_splitting"):
            answerer.processor.image_processor.do_image_splitting = False

    def forward(self, batch: dict[str, Tensor]) -> GPTOutput:
        """What `collate` makes -> logits (B, L, V): at each token, scores for the next one."""
        ours = ("tokens", "tokens_mask", "answer")
        read = {name: x for name, x in batch.items() if name not in ours}
        read |= {"input_ids": batch["tokens"], "attention_mask": batch["tokens_mask"].long()}
        return GPTOutput(self.model(**read, use_cache=False).logits)

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Tensor]:
        """The adapters alone."""
        whole = super().state_dict(*args, **options)
        return {name: x for name, x in whole.items() if ".lora_" in name}

    def load_state_dict(self, state_dict: Mapping[str, Tensor], **options: Any) -> Any:
        """Takes the adapters; all else stays."""
        return super().load_state_dict(state_dict, **options | {"strict": False})

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """A batch, on the model's device, of examples with `image`, `question` and `answer`.

        The prompt is what the model reads when it is asked; after it stand the answer and the mark
        of its end. So padding is on the left of the prompt, and on the right of the answer.

        Args:
            examples: B of them, `image` uint8 (3, H, W), the other two strings.

        Returns:
            `tokens` (B, L) int64, `tokens_mask` (B, L) bool, `answer` (B, L) bool, True at the
            answer and its end; and the pictures under the names that the model gives them.

        Raises:
            KeyError: an example lacks one of the three.
            TypeError, ValueError: as `HubVqa.answer`; or an answer is empty, or holds a mark of the
                model's template.
        """
        examples = checks.listed(Mapping, examples=examples)
        checks.same_length(examples=examples)
        pictures = [_picture(f"images[{i}]", each["image"]) for i, each in enumerate(examples)]
        read = dict(self.answerer.read(pictures, [each["question"] for each in examples]))
        ends = [self._end(each["question"], each["answer"]) for each in examples]
        right = {"padding": True, "padding_side": "right", "return_tensors": "pt"}
        ends = self.answerer.processor.tokenizer(ends, add_special_tokens=False, **right)
        ends = {name: ends[name].to(x) for name, x in read.items() if name in ends}
        ids, real = read["input_ids"], ends["attention_mask"]
        answer = torch.cat([torch.zeros_like(ids), real], dim=1).bool()
        for name, x in read.items():  # what is said of each token, such as its kind, grows too
            if x.shape == ids.shape:
                read[name] = torch.cat([x, ends.get(name, torch.zeros_like(real))], dim=1)
        tokens, mask = read.pop("input_ids"), read.pop("attention_mask").bool()
        return {"tokens": tokens, "tokens_mask": mask, "answer": answer, **read}

    def _end(self, question: str, answer: str) -> str:
        """What should follow the prompt: the answer and the mark of its end."""
        checks.instance(str, question=question, answer=answer)
        if not answer.strip():
            raise ValueError(f"answer must hold a word, got {answer!r}")
        prompt, whole = self.answerer.asked(question), self.answerer.asked(question, answer)
        if not whole.startswith(prompt):
            raise ValueError(f"an answer must follow {prompt!r} in the template, got {whole!r}")
        return whole.removeprefix(prompt).rstrip()
