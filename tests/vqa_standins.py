"""Tiny local stand-ins for question answerers on the hub: ViLT, BLIP, two prompted models, VQAv2.

All weights are random and wide, so that answers differ between pictures and between questions. The
classes are those of the real checkpoints; the files are written by `transformers` and `datasets`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from tests.hub_standins import COLOURS, PLACES, SIDE, picture

ANSWERS = ("yes", "no", *COLOURS, *PLACES, "0", "1", "2", "3")
TEMPLATES = (
    "what colour is the square",
    "is the square {colour}",
    "how many squares of the colour {colour} are there in this picture, do you think",
    "where is it",
    "is there a {colour} square at the {place} of the picture and is it on grey",
)
KINDS = ("other", "yes/no", "number", "other", "yes/no")
QUESTIONS = [
    template.format(colour=colour, place=place) + "?"
    for colour, place in zip(COLOURS, PLACES * 2, strict=False)
    for template in TEMPLATES
]
IMAGE, END = "<image>", "<end_of_utterance>"
IDEFICS3_TEMPLATE = (
    "<s>{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance> {% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def save_vilt(folder: Path, seed: int = 0) -> Path:
    """A random ViltForQuestionAnswering that chooses among `ANSWERS`."""
    from transformers import (
        ViltConfig,
        ViltForQuestionAnswering,
        ViltImageProcessor,
        ViltProcessor,
    )

    tokenizer = _bert_tokenizer()
    torch.manual_seed(seed)
    config = ViltConfig(
        **_small(2),
        vocab_size=len(tokenizer),
        max_position_embeddings=40,
        image_size=SIDE,
        patch_size=8,
        id2label=dict(enumerate(ANSWERS)),
        label2id={answer: i for i, answer in enumerate(ANSWERS)},
        initializer_range=0.3,
    )
    pictures = ViltImageProcessor(size={"shortest_edge": SIDE}, size_divisor=8)
    return _save(folder, ViltForQuestionAnswering(config), ViltProcessor(pictures, tokenizer))


def save_blip(folder: Path, seed: int = 0) -> Path:
    """A random BlipForQuestionAnswering."""
    from transformers import (
        BlipConfig,
        BlipForQuestionAnswering,
        BlipImageProcessor,
        BlipProcessor,
    )

    tokenizer = _bert_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    torch.manual_seed(seed)
    text = _small(2) | {
        "encoder_hidden_size": 32,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "bos_token_id": tokenizer.bos_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.3,
    }
    vision = _small(2) | {"image_size": SIDE, "patch_size": 8, "initializer_range": 0.3}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=24)
    pictures = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    return _save(folder, BlipForQuestionAnswering(config), BlipProcessor(pictures, tokenizer))


def save_idefics3(folder: Path, seed: int = 0, template: str | None = IDEFICS3_TEMPLATE) -> Path:
    """A random Idefics3ForConditionalGeneration, the class of SmolVLM; pictures in four tiles."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tiles = [f"<row_{i + 1}_col_{j + 1}>" for i in range(6) for j in range(6)]
    special = ["<s>", IMAGE, END, "<fake_token_around_image>", "<global-img>", *tiles]
    tokenizer = _word_tokenizer(special, eos=END, bos="<s>")
    text = _small(2) | {"model_type": "llama", "vocab_size": len(tokenizer), **_ids(tokenizer)}
    config = Idefics3Config(
        text_config=text | {"num_key_value_heads": 1, "initializer_range": 0.3},
        vision_config=_small(2) | {"image_size": 16, "patch_size": 4, "initializer_range": 0.3},
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=2,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config)
    pictures = Idefics3ImageProcessor(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": 16}
    )
    processor = Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=template)
    return _save(folder, model, processor)


def save_qwen3_vl(folder: Path, seed: int = 0) -> Path:
    """A random Qwen3VLForConditionalGeneration: pictures of different sizes take different room."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    marks = ["image_pad", "video_pad", "vision_start", "vision_end", "im_start", "im_end"]
    marks = [f"<|{mark}|>" for mark in marks]
    tokenizer = _word_tokenizer(marks, eos="<|im_end|>")
    ids = dict(zip(marks, tokenizer.convert_tokens_to_ids(marks), strict=True))
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    text = _small(2) | {"vocab_size": len(tokenizer), "head_dim": 16, "rope_parameters": rope}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2}
    config = Qwen3VLConfig(
        text_config=text | {"num_key_value_heads": 1, "initializer_range": 0.3, **_ids(tokenizer)},
        vision_config=vision
        | {"patch_size": 4, "out_hidden_size": 32, "num_position_embeddings": 64}
        | {"deepstack_visual_indexes": [0], "initializer_range": 0.3},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    size = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
    parts = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2, "size": size}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**parts),
        tokenizer,
        Qwen3VLVideoProcessor(**parts),
        chat_template=QWEN_TEMPLATE,
    )
    return _save(folder, model, processor)


def vqa_rows(images: int, first: int = 0) -> dict[str, list]:
    """Columns of the hub's VQAv2, five questions an image; of ten people seven agree."""
    rows: dict[str, list] = {}
    for image in range(first, first + images):
        colour, place = list(COLOURS)[image % 6], PLACES[image // 6 % 4]
        truth = (colour, "yes", "1", place, "yes")
        for number, (template, kind, answer) in enumerate(
            zip(TEMPLATES, KINDS, truth, strict=True)
        ):
            said = [answer] * 7 + ["maybe", "grey", f"a {answer}"]
            row = {
                "question_type": " ".join(template.split()[:2]),
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": text, "answer_confidence": "yes", "answer_id": i + 1}
                    for i, text in enumerate(said)
                ],
                "image_id": 1000 + image,
                "answer_type": kind,
                "question_id": (1000 + image) * 1000 + number,
                "question": template.format(colour=colour, place=place) + "?",
                "image": {"bytes": picture(image), "path": None},
            }
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    return rows


def save_vqav2(folder: Path, columns: dict[str, list], split: str = "validation") -> Path:
    """One parquet file a split, with the features that the hub's table has."""
    import datasets

    features = {name: datasets.Value("string") for name in columns}
    for name in features.keys() & {"image_id", "question_id"}:
        features[name] = datasets.Value("int64")
    if "answers" in columns:
        text = datasets.Value("string")
        record = {"answer": text, "answer_confidence": text, "answer_id": datasets.Value("int64")}
        plain = any(isinstance(one, str) for said in columns["answers"] for one in said)
        features["answers"] = datasets.List(text if plain else record)
    if "image" in columns:
        features["image"] = datasets.Image()
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(str(folder / f"{split}.parquet"))
    return folder


def _small(layers: int) -> dict[str, int]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
    }


def _ids(tokenizer) -> dict[str, int | None]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("eos", "pad")}


def _words() -> list[str]:
    prompt = "answer the question using a single word or phrase . user assistant , ? :"
    return sorted({*" ".join((*QUESTIONS, *ANSWERS)).replace("?", " ").split(), *prompt.split()})


def _bert_tokenizer():
    from transformers import BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words()]
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, model_max_length=64)


def _word_tokenizer(special: list[str], eos: str, bos: str | None = None):
    """One token a word, `bos` before the first; those of `special` are never split."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<unk>", *special, *_words()]
    words = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": eos}
    if bos:
        marks["bos_token"] = bos
        words.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, words.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **marks)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    return tokenizer


def _save(folder: Path, model, processor) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
