"""Blockwise search against the dense definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmtutor.evaluation.retrieval import search
from mmtutor.evaluation.retrieval.recall import ranks
from mmtutor.evaluation.retrieval.search import retrieval_ranks, top_k


def integers(generator: torch.Generator, *shape: int, high: int = 3) -> Tensor:
    return torch.randint(-2, high, shape, generator=generator)


@pytest.fixture(params=["kept", "made again"])
def small_blocks(request, monkeypatch):
    """Blocks of a few rows, with the similarity kept for both directions or not."""
    monkeypatch.setattr(search, "BLOCK_SCORES", 20)
    monkeypatch.setattr(search, "KEPT_SCORES", 2**27 if request.param == "kept" else 0)


@pytest.mark.usefixtures("small_blocks")
def test_retrieval_ranks_equal_the_dense_definition():
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        image, text = integers(generator, 7, 3).float(), integers(generator, 15, 3).float()
        image_group = torch.cat([torch.arange(4), integers(generator, 3) + 2])
        text_group = torch.cat([torch.arange(5), integers(generator, 10) + 2])
        image_group[0] = 4  # so that groups 0 to 4 occur on both sides
        image_group[4] = 0
        relevant = image_group[:, None] == text_group
        both = retrieval_ranks(image, text, image_group, text_group)
        similarity = image @ text.T
        assert torch.equal(both.image_to_text, ranks(similarity, relevant))
        assert torch.equal(both.text_to_image, ranks(similarity.T, relevant.T))


def test_equal_embeddings_tie():
    image, text = torch.ones(4, 512) / 3, torch.ones(8, 512) / 7
    both = retrieval_ranks(image, text, torch.arange(4), torch.arange(8) // 2)
    assert both.image_to_text.tolist() == [7] * 4
    assert both.text_to_image.tolist() == [4] * 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    generator = torch.Generator().manual_seed(0)
    image, text = integers(generator, 6, 4), integers(generator, 6, 4)
    group = torch.arange(6)
    expected = retrieval_ranks(image.float(), text.float(), group, group)
    found = retrieval_ranks(image.to(dtype), text.to(dtype), group, group)
    assert torch.equal(found.image_to_text, expected.image_to_text)
    assert torch.equal(found.text_to_image, expected.text_to_image)


def test_a_query_without_a_relevant_item_is_named():
    image, text = torch.eye(3), torch.eye(3)[:2]
    with pytest.raises(ValueError, match="1 of 3 images have no relevant text, the first is row 2"):
        retrieval_ranks(image, text, torch.arange(3), torch.arange(2))
    with pytest.raises(ValueError, match="1 of 3 texts have no relevant image, the first is row 2"):
        retrieval_ranks(text, image, torch.arange(2), torch.arange(3))


@pytest.mark.parametrize(
    ("image", "group", "message"),
    [
        (torch.zeros(2, 5), torch.arange(2), r"text must be \(M, D\) with D = 5"),
        (torch.zeros(0, 3), torch.arange(0), r"image must be \(N, D\)"),
        (
            torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]]),
            torch.arange(2),
            "image must be finite",
        ),
        (torch.tensor([[0.0, 0, torch.inf]]), torch.arange(1), "the first row 0"),
        (torch.zeros(2, 3), torch.arange(3), r"image_group must be \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(2), "whole numbers"),
    ],
)
def test_bad_embeddings_are_named(image, group, message):
    with pytest.raises((ValueError, TypeError), match=message):
        retrieval_ranks(image, torch.zeros(2, 3), group, torch.arange(2))


@pytest.mark.parametrize("gallery", [1, 9, 1280, 1299, 3001])
@pytest.mark.parametrize("k", [1, 10])
def test_top_k_is_exact(gallery, k, monkeypatch):
    monkeypatch.setattr(search, "BLOCK_SCORES", 5_000)  # several blocks at the larger sizes
    generator = torch.Generator().manual_seed(gallery)
    queries, items = (
        torch.randn(31, 8, generator=generator),
        torch.randn(gallery, 8, generator=generator),
    )
    k = min(k, gallery)
    value, index = top_k(queries, items, k)
    expected = (queries @ items.T).topk(k)
    assert torch.equal(index, expected.indices)
    torch.testing.assert_close(value, expected.values)


def test_top_k_with_ties_and_with_neighbours_in_one_fold():
    gallery = torch.zeros(3200, 1)
    gallery[100::100] = 1.0  # all in the folded row's column 0
    gallery[5:8] = 1.0
    value, index = top_k(torch.ones(2, 1), gallery, 25)
    assert bool((value == 1).all())
    assert all(len(row.unique()) == 25 for row in index)
    assert bool((gallery[index].squeeze(-1) == value).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_top_k_scores_half_precision_in_float32(dtype):
    value, index = top_k(torch.eye(3, dtype=dtype), torch.eye(3, dtype=dtype), 1)
    assert value.dtype == torch.float32
    assert index.flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_names_a_bad_k(k):
    with pytest.raises(ValueError, match=f"k must .*, got {k}"):
        top_k(torch.eye(3), torch.eye(3), k)
