"""The reader sees what runs: a chapter that trains a model shows the model, whole."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

import pytest
from torch import nn

import mmtutor
from book.tools import sync
from book.tools.layout import Book
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import EncodeUniqueImages
from mmtutor.fusion import Fusion
from mmtutor.models.grid_detector import GridDetector
from mmtutor.recipes.encoders import audio, images, text, video
from mmtutor.recipes.fusion import entrants, three_modalities
from mmtutor.recipes.joint import competition, linear_tasks, tasks
from mmtutor.recipes.learning import drawing, self_supervised
from mmtutor.recipes.retrieval import losses, photographs, shapes
from mmtutor.recipes.robustness import defences
from mmtutor.recipes.vqa import classic, grounded

BOOK = Book()
PAGES = {BOOK.name(chapter): chapter for chapter in BOOK.chapters()}

# The models that a chapter trains. Each stands in a `show(...)` of that page, whole.
MODELS = {
    "1-concepts/what-is-a-multimodal-model": (),  # written on the page
    "1-concepts/how-a-network-learns": (),  # written on the page
    "2-encoders/images": ("SmallCNN", "VisionTransformer", "FeatureEncoder"),
    "2-encoders/text": (
        *("Classifier", "LastToken"),
        *("BagOfWords", "RecurrentEncoder", "SmallTransformer", "MaskedLanguageModel"),
    ),
    "2-encoders/audio": ("Classifier", "AudioCNN", "AudioTransformer"),
    "2-encoders/video": ("Classifier", "VideoCNN", "VideoTransformer", "PoseNetwork"),
    "3-mathematics/losses-and-optimisation": ("DualEncoder",),
    "3-mathematics/fusion": (
        *("FusionClassifier", "Ensemble", "TokenMLP"),
        *("Sum", "Mean", "Max", "Weighted", "Late", "Concat", "Convolution", "Gated"),
        *("Bilinear", "LowRankTensor", "Attention", "CrossAttention", "Bottleneck"),
        *("SingleStream", "InteractionGraph"),
    ),
    "3-mathematics/joint-learning": ("MultiTask", "Branches"),
    "4-learning/language-models": ("GPT",),
    "4-learning/prompts-and-preferences": ("GPT", "RewardModel"),
    "4-learning/self-supervised": (
        *("MaskedAutoencoder", "MomentumContrast"),
        *("VectorQuantisedAutoencoder", "VectorQuantiser"),
    ),
    "4-learning/contrastive-pretraining": ("ResidualCNN",),
    "4-learning/fine-tuning": ("Upper", "Pointwise", "Rehearsal"),
    "4-learning/few-labels": ("TwoViews", "MultiTask", "TokenMLP"),
    "4-learning/vision-language-models": (
        *("VisionLanguageModel", "Resampler", "GatedLook", "Patches", "CellCNN"),
    ),
    "5-labs/retrieval": (
        *("DualEncoder", "ProjectionHead", "SmallTransformer"),
        *("ConSE", "ResidualHead", "WordLlama"),
    ),
    "5-labs/visual-question-answering": (
        *("EdgeCNN", "Product", "CellCNN", "GridDetector", "FrozenEncoder"),
        *("GroundedClassifier", "FiLM"),
    ),
    "6-evaluation/generation": ("DualEncoder",),
    "6-evaluation/metrics": ("Classifier",),
    "6-evaluation/interpretability": (
        *("Classifier", "FusionClassifier", "DualEncoder"),
        *("SmallCNN", "BagOfWords", "SmallTransformer"),
    ),
    "6-evaluation/robustness-and-fairness": (
        *("Classifier", "FusionClassifier", "SmallCNN", "Perturbed", "Pair"),
    ),
    "7-deployment/training-at-scale": ("DualEncoder",),
    "appendix/data-sets": (),  # written on the page
    "appendix/challenges": (),  # put together from what earlier pages show
}
# Encoders inside them that an earlier page shows, to which the chapter links.
PARTS = {
    "1-concepts/what-is-a-multimodal-model": ("SmallCNN", "SmallTransformer", "AudioCNN"),
    "2-encoders/images": ("Classifier",),
    "3-mathematics/losses-and-optimisation": ("SmallCNN", "BagOfWords"),
    "3-mathematics/fusion": ("SmallCNN", "RecurrentEncoder", "AudioTransformer"),
    "3-mathematics/joint-learning": ("SmallCNN", "BagOfWords", "FeatureEncoder"),
    "4-learning/self-supervised": (
        *("VisionTransformer", "ProjectionHead", "EdgeCNN", "GPT", "MultiTask"),
    ),
    "4-learning/contrastive-pretraining": (
        *("DualEncoder", "ProjectionHead", "BagOfWords", "FeatureEncoder"),
    ),
    "4-learning/fine-tuning": ("Classifier", "SmallCNN"),
    "4-learning/vision-language-models": ("GPT", "GridDetector", "FrozenEncoder"),
    "5-labs/retrieval": ("SmallCNN", "FeatureEncoder"),
    "5-labs/visual-question-answering": (
        *("Classifier", "RecurrentEncoder", "LastToken", "FusionClassifier", "CrossAttention"),
    ),
    "6-evaluation/generation": ("SmallCNN", "BagOfWords"),
    "6-evaluation/metrics": ("FeatureEncoder", "DualEncoder"),
    "6-evaluation/robustness-and-fairness": (*("BagOfWords", "Concat"),),
    "7-deployment/training-at-scale": ("SmallCNN", "SmallTransformer", "ProjectionHead"),
    "appendix/challenges": ("SmallCNN", "SmallTransformer", "DualEncoder", "ProjectionHead"),
}

BUDGET = entrants.ContestConfig(parameters=20_000, dim=8, out_dim=8)
WORDS, GIVEN = WordTokenizer.fit(["a"]), (("image",), ("tokens",), ("image", "tokens"))

# How the recipes of a chapter make their models: what they make must be in the lists above.
BUILDS = {
    "2-encoders/images": lambda: [
        images._build(replace(images.Config.preset("tiny"), encoder=name))
        for name in ("cnn", "vit")
    ],
    "2-encoders/text": lambda: [
        text._build(replace(text.Config.preset("tiny"), encoder=name), 10) for name in text.ENCODERS
    ],
    "2-encoders/audio": lambda: [
        audio._build(replace(audio.Config.preset("tiny"), encoder=name))
        for name in ("cnn", "transformer")
    ],
    "2-encoders/video": lambda: [
        video.build(replace(video.Config.preset("tiny"), encoder=name))
        for name in ("2d", "transformer")
    ],
    "3-mathematics/losses-and-optimisation": lambda: [losses.build(losses.Config.preset("tiny"))],
    "3-mathematics/fusion": lambda: [
        three_modalities.build(three_modalities.Config.preset("tiny"), WordTokenizer.fit(["a"])),
        *(
            entrants.build(name, entrants.Inputs(("a", "b"), 4, 2, 2), BUDGET)
            for name in entrants.ENTRANTS
        ),
    ],
    "3-mathematics/joint-learning": lambda: [
        linear_tasks.untrained(),
        tasks.build(tasks.Config.preset("tiny"), "joint", ["colour"]),
        competition.build(competition.Config.preset("tiny"), "joint"),
    ],
    "4-learning/self-supervised": lambda: (
        [
            self_supervised.build(self_supervised.Config.preset("tiny"), method)
            for method in ("masked", "momentum")
        ]
        + [drawing.build_autoencoder(drawing.Config.preset("tiny"))]
        + [drawing.build_gpt(drawing.Config.preset("tiny"), WORDS)]
    ),
    "5-labs/retrieval": lambda: [
        shapes.build(shapes.Config.preset("tiny"), WORDS),
        photographs.build(replace(photographs.Config.preset("tiny"), start="random"), None),
    ],
    "5-labs/visual-question-answering": lambda: [
        *(classic.build(replace(classic.Config(), modalities=given), WORDS) for given in GIVEN),
        GridDetector(8),
        *(
            grounded._build(grounded.Config(model=way), GridDetector(64), WORDS)
            for way in ("grounded", "product", "cross_attention", "film")
        ),
    ],
    "6-evaluation/robustness-and-fairness": lambda: [
        defences.build(replace(defences.Config.preset("tiny"), **changes))
        for changes in ({"task": "clothes"}, {"task": "shop"}, {"objective": "co-teaching"})
    ],
}


@cache
def trees(name: str) -> list[ast.Module]:
    cells = sync.notebook(PAGES[name]).cells
    return [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of a page, with the full name of what is called, as the page's imports have it."""
    nodes = [node for tree in trees(name) for node in ast.walk(tree)]
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = []
    for node in nodes:
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            found.append((imported.get(first, first) + dot + rest, node))
    return found


def trains(name: str) -> list[str]:
    """What the page calls that trains: the loop, `fit`, or a recipe's `run`, `fit` or `train…`."""
    return [
        called
        for called, _ in calls(name)
        if re.fullmatch(r"mmtutor\.training\.(loop\.)?(train|fit)", called)
        or re.fullmatch(r"mmtutor\.recipes\..*\.(run|fit|train(_\w+)?)", called)
    ]


def shown(name: str) -> set[str]:
    """What stands whole in a `show(...)`: `Model` or `recipe.Model`, not `Model.forward`."""
    return {
        ast.unparse(node.args[0]).rpartition(".")[2]
        for called, node in calls(name)
        if called == "mmtutor.notebook.show" and isinstance(node.args[0], ast.Name | ast.Attribute)
    }


def linked(name: str) -> set[str]:
    """The pages that a page links to by their labels."""
    text = PAGES[name].read_text(encoding="utf-8")
    labels = set(re.findall(r"\{ref\}`(?:[^`<]*<)?([a-z0-9-]+)>?`", text))
    return {other for other in PAGES if other.rsplit("/")[-1] in labels}


@cache
def modules() -> dict[str, type]:
    """Every `nn.Module` that the package defines, by name."""
    found = {}
    for info in walk_packages(mmtutor.__path__, "mmtutor."):
        if info.name.split(".")[1] in ("encoders", "fusion", "models", "recipes"):
            for value in vars(import_module(info.name)).values():
                if isinstance(value, type) and issubclass(value, nn.Module):
                    found[value.__name__] = value
    return found


def test_every_chapter_that_trains_is_listed_and_no_other():
    assert {name for name in PAGES if trains(name)} == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_what_it_trains_is_shown_whole(name):
    missing = set(MODELS[name]) - shown(name)
    assert not missing, f"{name} trains {sorted(missing)}: show them whole, and say what they do"


@pytest.mark.parametrize("name", PARTS)
def test_other_parts_are_shown_on_a_page_it_links_to(name):
    missing = set(PARTS[name]).difference(*map(shown, linked(name)))
    assert not missing, f"{name} links to no page that shows {sorted(missing)}"


@pytest.mark.parametrize("name", BUILDS)
def test_the_lists_are_what_the_recipes_make(name):
    made = {
        type(part).__name__
        for model in BUILDS[name]()
        for part in model.modules()
        if part is model or hasattr(part, "modality") or isinstance(part, Fusion)
        if not isinstance(part, EncodeUniqueImages)  # a matter of speed, tested to change nothing
    }
    assert made <= {*MODELS[name], *PARTS.get(name, ())}


def test_the_names_are_those_of_modules():
    names = {name for listed in (*MODELS.values(), *PARTS.values()) for name in listed}
    assert names <= modules().keys()
