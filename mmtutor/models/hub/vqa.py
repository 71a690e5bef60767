"""Three kinds of pretrained question answerers from `transformers`, behind one `answer`.

Knows how to load such a checkpoint safely, how each kind wants picture and question, and how its
answer becomes a string. Does not know data sets or metrics. `transformers` is imported only when a
checkpoint is loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmtutor.checks import instance, listed, same_length
from mmtutor.data.hub.preprocess import checked_picture
from mmtutor.models.hub.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

PROMPT = "{question}\nAnswer the question using a single word or phrase."  # Liu et al. 2024, LLaVA
MAX_NEW_TOKENS = 12  # VQAv2's answers have one to three words


class HubVqa(ABC):
    """A pretrained model that answers questions about pictures; `FineTuned` trains some further.

    Args:
        model: on its device, in evaluation mode.
        processor: the checkpoint's own image processor and tokenizer.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        self.model = model
        self.processor = processor

    def answer(self, images: Sequence[Tensor], questions: Sequence[str]) -> list[str]:
        """One short answer a question, in lower case, as VQAv2's people gave theirs.

        An answer depends on its own picture and question alone, not on the rest of the batch; in
        half precision rounding may turn a near tie.

        Args:
            images: B uint8 (3, H, W), of any sizes.
            questions: B strings; none of both is no answer.

        Raises:
            TypeError: a question is no string, or a picture not uint8.
            ValueError: the lengths differ, a picture is not (3, H, W), or a question for a prompted
                model holds one of the marks of its template.
        """
        questions, images = listed(str, questions=questions), listed(Tensor, images=images)
        if not questions and not images:
            return []
        same_length(images=images, questions=questions)
        pictures = [_picture(f"images[{i}]", image) for i, image in enumerate(images)]
        with torch.inference_mode():
            said = self._say(pictures, questions)
        return [short(text) for text in said]

    @abstractmethod
    def _say(self, pictures: list[Image], questions: list[str]) -> list[str]:
        """The answers as the model writes them."""

    def _ready(self, text: list[str], pictures: list[Any], **options: Any) -> BatchFeature:
        """What the processor makes of a batch, on the model's device and in its precision."""
        inputs = self.processor(
            text=text, images=pictures, padding=True, return_tensors="pt", **options
        )
        return inputs.to(self.model.device, self.model.dtype)


class AnswerClassifier(HubVqa):
    """Chooses among the answers it was trained on: ViLT (Kim et al. 2021).

    Attributes:
        answers: what it can say; VQAv2's checkpoint knows 3,129.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        processor.tokenizer.split_special_tokens = True  # "[SEP]" in a question is text
        self.answers = [name for _, name in sorted(model.config.id2label.items())]

    def _say(self, pictures: list[Image], questions: list[str]) -> list[str]:
        longest = self.model.config.max_position_embeddings
        inputs = self._ready(questions, pictures, truncation=True, max_length=longest)
        return [self.answers[i] for i in self.model(**inputs).logits.argmax(dim=1).tolist()]


class _AnswerDecoder(HubVqa):
    """Reads the question beside the picture, then writes an answer: BLIP (Li et al. 2022).

    The paper's figures rank 3,128 candidate answers instead of writing freely.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        processor.tokenizer.split_special_tokens = True  # "[SEP]" in a question is text
        model.text_decoder.generation_config = _greedy()

    def _say(self, pictures: list[Image], questions: list[str]) -> list[str]:
        text = self.model.config.text_config
        cut = {"truncation": True, "max_length": text.max_position_embeddings}
        lengths = [len(ids) for ids in self.processor.tokenizer(questions, **cut)["input_ids"]]
        said = [""] * len(questions)
        # One length at a time: the library lets the decoder read padding, whatever the mask says,
        # so that an answer would depend on how long the other questions of the batch are.
        for length in sorted(set(lengths)):
            rows = [row for row, other in enumerate(lengths) if other == length]
            inputs = self._ready([questions[r] for r in rows], [pictures[r] for r in rows], **cut)
            written = self.model.generate(**inputs)
            decoded = self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)
            for row, words in zip(rows, decoded, strict=True):
                said[row] = words
        return said


class _PromptedModel(HubVqa):
    """A vision-language model that follows instructions, asked through its own chat template.

    Args:
        prompt: the instruction, with `{question}` where the question goes.

    Raises:
        ValueError: the checkpoint has no chat template, or the prompt no `{question}`.
    """

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, prompt: str = PROMPT
    ) -> None:
        super().__init__(model, processor)
        instance(str, prompt=prompt)
        if "{question}" not in prompt:
            raise ValueError(f"prompt must hold {{question}}, got {prompt!r}")
        if not getattr(processor, "chat_template", None):
            raise ValueError(f"{type(model).__name__} has no chat template, so it takes no prompts")
        self.prompt = prompt
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"  # what is written must follow what was asked
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        ends = model.generation_config.eos_token_id
        model.generation_config = _greedy(
            eos_token_id=tokenizer.eos_token_id if ends is None else ends,
            pad_token_id=tokenizer.pad_token_id,
        )

    def asked(self, question: str, answer: str | None = None) -> str:
        """All that the model reads of the question, with the marks of its chat template; and an
        answer as the model would give it, with the mark of its end."""
        marks = sorted(self.processor.tokenizer.get_added_vocab(), key=len, reverse=True)
        for name, given in {"question": question, "answer": answer or ""}.items():
            if held := next((mark for mark in marks if mark in given), None):
                raise ValueError(f"{name} must hold no mark of the model's own, got {held!r} in it")
        text = {"type": "text", "text": self.prompt.replace("{question}", question)}
        chat = [{"role": "user", "content": [{"type": "image"}, text]}]
        if answer is not None:
            chat.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return self.processor.apply_chat_template(chat, add_generation_prompt=answer is None)

    def read(self, pictures: list[Image], questions: list[str]) -> BatchFeature:
        """All that the model reads of a batch, padded on the left, on its device."""
        prompts = [self.asked(question) for question in questions]
        start = self.processor.tokenizer.bos_token
        begun = start is not None and prompts[0].startswith(start)
        options = {"add_special_tokens": False} if begun else {}  # the tokenizer would add another
        return self._ready(prompts, [[picture] for picture in pictures], **options)

    def _say(self, pictures: list[Image], questions: list[str]) -> list[str]:
        inputs = self.read(pictures, questions)
        written = self.model.generate(**inputs)
        new = written[:, inputs["input_ids"].shape[1] :]
        return self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)


def load_vqa(
    source: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    prompt: str = PROMPT,
    four_bits: bool = False,
) -> HubVqa:
    """A pretrained question answerer; its class is chosen by what the checkpoint is.

    Only safetensors weights are read, and no code from the hub runs.

    Args:
        source: a hub id or a local folder, such as "dandelin/vilt-b32-finetuned-vqa".
        device: where the model is put.
        dtype: of its weights and its arithmetic. Models trained in bf16 can overflow in fp16.
        prompt: for models that are prompted, with `{question}`; others read the bare question.
        four_bits: keep the weights of linear layers in 4 bits (NF4), with `bitsandbytes`.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id.
        TypeError: the checkpoint does not answer questions about pictures.
        ValueError: it takes prompts but has no chat template, `prompt` has no `{question}`, or
            4 bits are asked for without a CUDA GPU.
        OSError: the source has no safetensors weights or no processor.
        ImportError: the extra `hub` is not installed, or `bitsandbytes`, where it is needed.
    """
    options = _four_bits(dtype) if four_bits else {}
    kind = lambda config: _kind(config, source)[0]  # noqa: E731
    model, processor = load_checkpoint(source, kind, dtype, **options)
    _, wrapper = _kind(model.config, source)
    options = {"prompt": prompt} if wrapper is _PromptedModel else {}
    return wrapper(model.to(device), processor, **options)


def short(text: str) -> str:
    """The first line of what a model wrote, in lower case, without a full stop at its end.

    VQAv2's people answer so, and its metric compares letter by letter where all ten agree.
    """
    instance(str, text=text)
    lines = text.strip().splitlines() or [""]
    return lines[0].strip().rstrip(".").lower()


def _kind(config: Any, source: str | Path) -> tuple[type, type[HubVqa]]:
    """The model's class and its wrapper, before any weights are fetched; or a TypeError."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    architecture = (config.architectures or [None])[0]
    if architecture == "ViltForQuestionAnswering":
        return transformers.ViltForQuestionAnswering, AnswerClassifier
    if architecture == "BlipForQuestionAnswering":
        return transformers.BlipForQuestionAnswering, _AnswerDecoder
    if config.model_type not in ("vilt", "blip") and (
        type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    ):
        return transformers.AutoModelForImageTextToText, _PromptedModel
    raise TypeError(
        f"{source} is a {config.model_type} model ({architecture}) that does not answer questions "
        "about pictures: expected ViltForQuestionAnswering, BlipForQuestionAnswering, or a "
        "vision-language model that takes prompts"
    )


def _greedy(**tokens: int | list[int] | None) -> Any:
    """Always the likeliest token. As a model's own configuration, so that nothing is left of the
    sampling or the penalties that came with the checkpoint."""
    from transformers import GenerationConfig

    return GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, do_sample=False, num_beams=1, **tokens)


def _four_bits(dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` is told: blocks of 64 weights as 4-bit quantiles of a normal
    distribution, their scales in 8 bits, arithmetic in `dtype` (Dettmers et al. 2023, QLoRA)."""
    if not torch.cuda.is_available():
        raise ValueError("four_bits must be False where there is no CUDA GPU, got True")
    from transformers import BitsAndBytesConfig

    how = {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", **how)
    return {"quantization_config": how}


def _picture(name: str, image: Tensor) -> Image:
    from PIL import Image

    return Image.fromarray(checked_picture(name, image).permute(1, 2, 0).cpu().numpy())
