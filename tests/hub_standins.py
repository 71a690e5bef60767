"""Tiny local stand-ins for what the hub serves: a CLIP, a SigLIP and a Flickr30k table.

All weights are random, all pictures drawn here. The files are those that `transformers` and
`datasets` themselves write, so the code under test reads them as it would read the real ones.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 60),
    "blue": (40, 60, 220),
    "yellow": (230, 210, 40),
    "black": (20, 20, 20),
    "white": (240, 240, 240),
}
PLACES = ("left", "right", "top", "bottom")
SENTENCES = (
    "a {colour} square on the {place}",
    "there is a {colour} box at the {place} of the picture",
    "{place}: {colour}",
    "someone painted a {colour} patch near the {place} edge, and nothing else at all",
    "one {colour} thing",
)
SIDE = 32
LENGTH = 16


def save_clip(folder: Path, seed: int = 0) -> Path:
    """A random CLIPModel of about 100,000 weights with its processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = _clip_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config=_tower() | text, vision_config=_tower() | _patches(), projection_dim=24
    )
    model = CLIPModel(config)
    pictures = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return _save(folder, model, CLIPProcessor(pictures, tokenizer))


def save_siglip(folder: Path, seed: int = 0) -> Path:
    """A random SiglipModel; its text side reads the padding, as the real one's does."""
    from transformers import (
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
        SiglipProcessor,
    )

    tokenizer = _word_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": LENGTH,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "projection_size": 32,
    }
    torch.manual_seed(seed)
    model = SiglipModel(
        SiglipConfig(text_config=_tower() | text, vision_config=_tower() | _patches())
    )
    pictures = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    return _save(folder, model, SiglipProcessor(pictures, tokenizer))


def save_bert(folder: Path) -> Path:
    """A model that is no dual encoder."""
    from transformers import BertConfig, BertModel

    size = {key: value for key, value in _tower().items() if key != "projection_dim"}
    BertModel(BertConfig(vocab_size=50, **size)).save_pretrained(folder)
    return folder


def flickr_rows(counts: dict[str, int]) -> dict[str, list]:
    """Columns `image` (PNG bytes), `caption`, `split`, `img_id`, `filename`; sizes vary."""
    columns: dict[str, list] = {
        name: [] for name in ("image", "caption", "split", "img_id", "filename")
    }
    scenes = [(colour, place) for place in PLACES for colour in COLOURS]
    splits = [split for split, count in counts.items() for _ in range(count)]
    for row, split in enumerate(splits):
        colour, place = scenes[row % len(scenes)]
        columns["image"].append({"bytes": picture(row), "path": None})
        columns["caption"].append([s.format(colour=colour, place=place) for s in SENTENCES])
        columns["split"].append(split)
        columns["img_id"].append(str(row))
        columns["filename"].append(f"{row:04d}.png")
    return columns


def picture(row: int) -> bytes:
    """PNG of the scene `row`: a coloured square at one side, on grey."""
    colour, place = list(COLOURS.values())[row % len(COLOURS)], row // len(COLOURS) % len(PLACES)
    width, height = 40 + row % 7, 36 + row % 5
    canvas = Image.new("RGB", (width, height), (128, 128, 128))
    corner = [(2, 10), (width - 18, 10), (12, 2), (12, height - 18)][place]
    canvas.paste(colour, (*corner, corner[0] + 16, corner[1] + 16))
    written = io.BytesIO()
    canvas.save(written, "PNG")
    return written.getvalue()


def save_flickr30k(folder: Path, columns: dict[str, list]) -> Path:
    """One parquet file, laid out as the hub's parquet branch lays it out: all rows in one part."""
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": [datasets.Value("string")],
            "split": datasets.Value("string"),
            "img_id": datasets.Value("string"),
            "filename": datasets.Value("string"),
        }
    )
    features = datasets.Features({name: features[name] for name in columns})
    (folder / "TEST" / "test").mkdir(parents=True)
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(str(folder / "TEST" / "test" / "0000.parquet"))
    return folder


def _tower() -> dict[str, int]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 24,
    }


def _patches() -> dict[str, int]:
    return {"image_size": SIDE, "patch_size": 8}


def _captions() -> list[str]:
    return [
        sentence.format(colour=colour, place=place)
        for sentence in SENTENCES
        for colour in COLOURS
        for place in PLACES
    ]


def _clip_tokenizer():
    """CLIP's own tokenizer class, its byte pairs learned from the captions above."""
    from tokenizers import trainers
    from transformers import CLIPTokenizer

    blank = CLIPTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    blank._tokenizer.train_from_iterator(_captions(), trainer)
    learned = json.loads(blank._tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    return CLIPTokenizer(vocab=learned["vocab"], merges=merges, model_max_length=LENGTH)


def _word_tokenizer():
    """One token a word, `</s>` at the end and as padding, and no mask, as SigLIP has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>", "</s>"], show_progress=False)
    words.train_from_iterator(_captions(), trainer)
    words.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=LENGTH,
        model_input_names=["input_ids"],  # no mask: the real one was trained to read its padding
    )


def _save(folder: Path, model, processor) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
