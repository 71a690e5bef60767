"""Eyes for `shapes`: what stands where, what a token can see, and that frozen eyes stay as is."""

import pytest
import torch
from torch import Tensor

from mmtutor.data import Dataset, load, loader
from mmtutor.data.shapes import questions as shapes_questions
from mmtutor.data.shapes.questions.dataset import TYPES
from mmtutor.data.shapes.questions.forms import DESCRIPTORS, MENTIONS_TWO
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.recipes.vqa.detector import (
    KINDS,
    CellCNN,
    Frozen,
    Named,
    Sight,
    cells,
    learn_to_see,
    naming,
    where_asked,
)
from mmtutor.training import fit

SIDE, CELL = 48, 16
BEFORE, AFTER = 4, 1  # pixels beside its cell that a token sees: left and above, right and below
MOST = {"shape": 0.5, "colour": 0.9, "size": 0.9}  # of what is there is named rightly


def pictures(n: int, split: str = "train") -> Dataset:
    return load("shapes-questions", split, n=n, size=SIDE, seed=3)


def eyes() -> CellCNN:
    """Untrained, in evaluation mode, with batch statistics that are not those of the start."""
    torch.manual_seed(0)
    encoder = CellCNN(8, width=4)
    encoder(torch.rand(16, 3, SIDE, SIDE))
    return encoder.eval()


def test_cells_are_what_a_loop_over_objects_finds():
    data = pictures(200)
    expected = torch.zeros(200, 9, 3, dtype=torch.int64)
    for n in range(200):
        for k in range(int(data.column("count")[n])):
            place = data.column("position")[n, k]
            expected[n, place] = torch.stack([data.column(kind)[n, k] + 1 for kind in KINDS])
    assert cells(data).equal(expected)
    assert all(int(cells(data)[..., i].max()) < size for i, size in enumerate(KINDS.values()))


@pytest.mark.parametrize("prior", ["balanced", "biased"])
def test_where_asked_is_what_a_loop_over_descriptions_finds(prior):
    n, seed = 300, 5
    asked, scene = shapes_questions.questions("train", n, seed, prior=prior)
    expected = torch.zeros(n, 2, 9)
    for i in range(n):
        mentioned = (asked.first[i], asked.second[i])[: 1 + int(MENTIONS_TWO[asked.form[i]])]
        for which, descriptor in enumerate(mentioned):
            for k in range(scene.count[i]):
                has = (scene.size[i, k], scene.colour[i, k], scene.shape[i, k])
                fits = all(a in (-1, b) for a, b in zip(DESCRIPTORS[descriptor], has, strict=True))
                expected[i, which, scene.position[i, k]] = float(fits)
    found = where_asked("train", n, seed, TYPES, prior)
    assert found.equal(expected)
    assert found[:, 1].any()


@pytest.mark.parametrize("types", [TYPES, ("query",)])
def test_where_asked_goes_with_the_questions_that_are_loaded(types):
    data = load("shapes-questions", "train", n=100, size=32, seed=2, types=types, prior="biased")
    either = where_asked("train", 100, 2, types, "biased").amax(dim=1) > 0  # [N, 9]
    asked, position = data.column("asked"), data.column("position")
    for n in range(100):
        assert set(either[n].nonzero().flatten().tolist()) == set(position[n][asked[n]].tolist())


def test_a_token_ends_with_the_place_of_its_cell():
    encoder = eyes()
    tokens, mask = encoder(torch.rand(2, 3, SIDE, SIDE))
    assert tokens.shape == (2, 9, encoder.dim)
    assert mask.all()
    assert tokens[0, :, -2:].tolist() == [[x, y] for y in (-3, 0, 3) for x in (-3, 0, 3)]


@pytest.mark.parametrize("cell", range(9))
def test_a_token_sees_its_cell_and_a_thin_edge_of_its_neighbours(cell):
    image = torch.rand(32, 3, SIDE, SIDE, requires_grad=True)
    token = eyes()(image).tokens[:, cell]
    (token * torch.randn(token.shape)).sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0  # [48, 48] by any picture
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    row, column = (CELL * i for i in divmod(cell, 3))
    rows, columns = (slice(max(i - BEFORE, 0), i + CELL + AFTER) for i in (row, column))
    expected[rows, columns] = True
    assert seen.equal(expected)


def test_what_changes_well_inside_a_cell_changes_its_token_alone():
    encoder, image = eyes(), torch.rand(1, 3, SIDE, SIDE)
    inside = slice(CELL + AFTER, 2 * CELL - BEFORE)  # of the middle cell
    other = image.clone()
    other[:, :, inside, inside] = 1 - other[:, :, inside, inside]
    with torch.no_grad():
        change = (encoder(other).tokens - encoder(image).tokens).abs().amax(dim=2).squeeze(0)
    assert (change > 0).tolist() == [i == 4 for i in range(9)]


def test_naming_is_three_cross_entropies():
    torch.manual_seed(0)
    output = Named(*(torch.randn(2, 9, size) for size in KINDS.values()))
    truth = torch.stack([torch.randint(size, (2, 9)) for size in KINDS.values()], dim=-1)
    losses = [
        -z.log_softmax(-1)[i, cell, truth[i, cell, kind]]
        for kind, z in enumerate(output)
        for i in range(2)
        for cell in range(9)
    ]
    expected = torch.stack(losses).view(3, -1).mean(dim=1).sum()
    torch.testing.assert_close(naming(output, {"cells": truth}), expected)


@pytest.fixture(scope="module")
def sight() -> Sight:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sight = Sight(32, width=16)
    learn_to_see(sight, pictures(1_500), epochs=4)
    return sight


def test_it_learns_to_name_what_it_sees(sight):
    data = pictures(300, "val")
    truth = cells(data)
    with torch.no_grad():
        named = sight({"image": data.column("image").float() / 255})
    there = truth[..., 0] > 0
    for kind, least in MOST.items():
        right = getattr(named, kind).argmax(dim=-1) == truth[..., list(KINDS).index(kind)]
        assert right[there].float().mean() > least
        assert right[~there].float().mean() > 0.95


def test_tokens_of_pictures_are_what_frozen_eyes_see(sight):
    data = pictures(5)
    tokens = sight.tokens(data.column("image"))
    frozen = Frozen(sight.encoder)
    seen = frozen(data.column("image").float() / 255)
    assert not tokens.requires_grad
    assert tokens.shape == (5, 9, frozen.dim)
    torch.testing.assert_close(tokens, seen.tokens, rtol=0, atol=1e-5)
    passed = frozen(tokens)
    assert passed.tokens is tokens
    assert passed.mask.equal(torch.ones(5, 9) > 0)


def rows(image: Tensor) -> Dataset:
    return Dataset({"image": image, "label": torch.arange(len(image)) % 2})


def test_frozen_eyes_do_not_change_while_the_rest_learns():
    model = Classifier(Frozen(eyes()), classes=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batches = loader(rows(torch.randint(256, (32, 3, SIDE, SIDE), dtype=torch.uint8)), 8)
    fit(model, cross_entropy, batches, epochs=1, lr=0.1, progress=False)
    after = model.state_dict()
    changed = {name for name in before if not after[name].equal(before[name])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)
    assert any("num_batches_tracked" in name for name in before)  # batch statistics were looked at


def test_gradients_pass_through_frozen_eyes_to_the_pixels():
    frozen = Frozen(eyes()).train()
    image = torch.rand(2, 3, SIDE, SIDE, requires_grad=True)
    tokens = frozen(image).tokens
    (tokens * torch.randn(tokens.shape)).sum().backward()
    assert image.grad.flatten(1).abs().amax(dim=1).min() > 0
    assert all(p.grad is None for p in frozen.parameters())
