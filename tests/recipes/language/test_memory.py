"""What is recalled of pictures that were kept."""

import pytest
import torch

from mmtutor.recipes.language.memory import Memory, directions

NAMES = ["cat", "dog", "cat", "car", "bus", "oak"]
KEYWORDS = [["pet", "fur"], ["pet", "bark"], ["pet", "claw"], ["road"], ["road", "city"], []]


def cells() -> torch.Tensor:
    """Six pictures in a row: each is most like its neighbours in the list."""
    place = torch.arange(24.0) - 3 * torch.arange(6.0).unsqueeze(1)
    return torch.exp(-(place**2) / 40).unsqueeze(1)


def test_the_most_similar_names_come_first_each_once_and_then_frequent_words():
    memory = Memory.of(NAMES, KEYWORDS, cells(), size=6)
    told = memory.recall(cells())
    assert told[0].startswith("cat, dog, ")
    assert "; pet, fur, bark" in told[0], "of the nearer cat, and pet twice"
    assert told[3].startswith("car, bus, ")
    assert told[5].startswith("oak, bus, ")
    assert all(len(names.split(", ")) == 3 for names, _ in (each.split("; ") for each in told))


def test_what_must_not_be_recalled_is_not():
    memory = Memory.of(NAMES, KEYWORDS, cells(), size=6)
    never = torch.zeros(6, 6, dtype=torch.bool)
    never[:, [0, 2]] = True
    assert all("cat" not in told for told in memory.recall(cells(), never))
    assert memory.recall(cells(), never)[0].startswith("dog, ")


def test_short_vectors_are_principal_components_shrunk_by_the_root_of_their_spread():
    random = torch.Generator().manual_seed(0)
    mixed = torch.rand(40, 5, generator=random) @ torch.rand(5, 60, generator=random)
    image = mixed.square().reshape(40, 2, 30)
    memory = Memory.of(["x"] * 40, [[]] * 40, image, size=5)
    found = directions(image)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(40))
    centred = found - found.mean(0)
    _, spread, axes = torch.linalg.svd(centred, full_matrices=False)
    expected = torch.nn.functional.normalize(centred @ axes[:5].T / spread[:5].sqrt(), dim=1)
    products, wanted = memory.vectors @ memory.vectors.T, expected @ expected.T
    torch.testing.assert_close(products, wanted, atol=2e-3, rtol=0)


def test_a_memory_that_was_stored_recalls_the_same():
    memory = Memory.of(NAMES, KEYWORDS, cells(), size=6)
    again = Memory(NAMES, KEYWORDS, **dict(memory.named_buffers()))
    assert again.recall(cells()) == memory.recall(cells())
    with pytest.raises(ValueError, match="names"):
        Memory(NAMES[:5], KEYWORDS, **dict(memory.named_buffers()))


def test_bad_input_gets_a_sentence():
    with pytest.raises(ValueError, match="names"):
        Memory.of(NAMES[:5], KEYWORDS, cells())
    with pytest.raises(ValueError, match="size"):
        Memory.of(NAMES, KEYWORDS, cells(), size=0)
