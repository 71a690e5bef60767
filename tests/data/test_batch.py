"""`collate`, `require`, `loader`: padding, masks, stacking, order, and errors with their cause."""

import numpy as np
import pytest
import torch

from mmtutor.data import Dataset, collate, loader, require
from mmtutor.data.batch import hide_tokens


def test_ragged_keys_are_padded_and_masked():
    batch = collate([{"tokens": torch.tensor([5, 6, 7])}, {"tokens": torch.tensor([8])}])
    assert batch["tokens"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["tokens_mask"].tolist() == [[True, True, True], [True, False, False]]
    assert batch["tokens"].dtype == torch.int64


def test_ragged_keys_are_masked_even_when_equally_long():
    batch = collate([{"audio": torch.tensor([0.5, 0.0])}, {"audio": torch.tensor([0.0, 1.0])}])
    assert batch["audio_mask"].all()
    assert batch["audio"].dtype == torch.float32


def test_pictures_become_floats_and_other_tensors_do_not():
    pixel = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1)
    batch = collate([{"image": pixel, "code": pixel}] * 2)
    assert batch["image"].dtype == torch.float32
    assert batch["image"][1].flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert batch["code"].dtype == torch.uint8


def test_numbers_become_tensors_and_other_things_are_left_out():
    example = {"label": 3, "weight": 0.5, "seen": True, "caption": "a cat", "spoken": {"en": "x"}}
    batch = collate([example, {**example, "label": 4}])
    assert batch["label"].tolist() == [3, 4]
    assert batch["label"].dtype == torch.int64
    assert batch["weight"].dtype == torch.float32
    assert batch["seen"].dtype == torch.bool
    assert set(batch) == {"label", "weight", "seen"}
    assert collate([{"weight": 1}, {"weight": 0.5}])["weight"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "examples must be not empty, got 0 elements"),
        ([{"label": 1}, {}], "example 1 lacks 'label', which example 0 has"),
        ([{}, {"label": 1}], "example 0 lacks 'label', which example 1 has"),
        ([{"tokens": torch.tensor([1])}, {"tokens": torch.tensor([])}], "'tokens' of example 1"),
        ([{"tokens": torch.zeros(2, 2)}], r"'tokens' of example 0 is torch.float32 \(2, 2\)"),
        ([{"x": torch.zeros(2)}, {"x": torch.zeros(3)}], "'x' of example 1 is torch.float32 "),
        ([{"x": torch.zeros(2)}, {"x": torch.ones(2).long()}], "'x' of example 1 is torch.int64"),
        (
            [{"x": torch.zeros(2)}, {"x": 1}],
            "'x' of example 1 is a int, but of example 0 torch",
        ),
        ([{"x": 1}, {"x": None}], "'x' of example 1 is a NoneType, but of example 0 a int"),
    ],
)
def test_collate_names_key_and_example(examples, message):
    with pytest.raises(ValueError, match=message):
        collate(examples)


def test_require_names_missing_and_present():
    batch = {"image": torch.zeros(1), "tokens": torch.zeros(1), "tokens_mask": torch.zeros(1)}
    require(batch, "image", "tokens")
    with pytest.raises(KeyError, match="lacks audio, video; it has image, tokens"):
        require(batch, "image", "audio", "video")
    with pytest.raises(KeyError, match="it has nothing"):
        require({}, "image")


def order(batches):
    return [batch["label"].tolist() for batch in batches]


def test_loader_order_depends_on_the_seed_alone():
    dataset = Dataset({"label": torch.arange(10)})
    assert order(loader(dataset, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert order(loader(dataset, 4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    first, second = (
        loader(dataset, 4, shuffle=True, seed=3),
        loader(dataset, 4, shuffle=True, seed=3),
    )
    epoch = order(first)
    torch.rand(5)  # the global generator has no say
    assert order(second) == epoch
    following = order(first)
    assert following != epoch
    assert order(second) == following
    assert order(loader(dataset, 4, shuffle=True, seed=4)) != epoch
    assert sorted(label for batch in epoch for label in batch) == list(range(10))


def asked_of_pictures() -> Dataset:
    picture = torch.rand(2, 3, 4, 4).unbind()
    columns = {"image": [picture[0], picture[0], picture[1]], "image_id": torch.tensor([4, 4, 7])}
    return Dataset({**columns, "label": torch.arange(3)})


def test_batches_keep_a_picture_together_and_change_with_every_epoch():
    rows = {"row": torch.arange(150), "group": torch.arange(50).repeat_interleave(3)}
    batches = loader(Dataset(rows), 150, group_by="group")
    first, second = (next(iter(batches))["row"].tolist() for _ in range(2))
    assert sorted(first) == list(range(150))
    assert first != second
    assert all(first[i] // 3 == first[i - i % 3] // 3 for i in range(150))
    assert (
        sum(len(batch["label"]) for batch in loader(asked_of_pictures(), 2, group_by="image_id"))
        == 3
    )
    kept = loader(Dataset({"pair": torch.arange(20) // 2}), 4, group_by="pair", seed=1)
    for batch in kept:
        assert batch["pair"][::2].equal(batch["pair"][1::2])


def test_numbers_arrays_and_lists_of_numpy_are_columns():
    rows = [
        {"a": np.int64(k), "b": np.float64(k / 2), "c": np.ones(2), "d": [k, 2]} for k in (1, 2)
    ]
    batch = collate(rows)
    assert {key: column.dtype for key, column in batch.items()} == {
        "a": torch.int64,
        "b": torch.float32,
        "c": torch.float64,
        "d": torch.int64,
    }
    assert batch["d"].tolist() == [[1, 2], [2, 2]]


def test_large_whole_numbers_beside_fractions_stay_exact():
    assert collate([{"x": 2**24 + 1}, {"x": 0.5}])["x"].tolist() == [2**24 + 1, 0.5]
    assert collate([{"x": 1}, {"x": 0.5}])["x"].dtype == torch.float32


def test_samples_of_16_bits_become_numbers_up_to_1():
    batch = collate([{"audio": torch.tensor([-32768, 16384], dtype=torch.int16)}])
    assert batch["audio"].tolist() == [[-1.0, 0.5]]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"audio": torch.tensor([1, 2])}, "not floats"),
        ({"tokens": [0.9, 1.7]}, "not whole numbers"),
        ({"image": torch.full((3, 2, 2), 255.0)}, "floats up to 255"),
        ({"label": 2**63}, "must fit into 64 bits"),
        ({"boxes": [[1, 2], [3]]}, "'boxes' of example 0 is ragged"),
    ],
)
def test_columns_that_would_be_misread_are_refused(example, message):
    with pytest.raises(ValueError, match=message):
        collate([example])


def test_groups_may_be_names_and_are_not_shuffled_twice():
    data = Dataset({"who": ["b", "a", "b", "a"], "row": torch.arange(4)})
    batches = loader(data, 2, shuffle=True, group_by="who")
    assert all(len({data[row]["who"] for row in batch["row"].tolist()}) == 1 for batch in batches)
    with pytest.raises(ValueError, match="dataset must be not empty"):
        loader(data.subset([]), 2)


def test_of_the_hidden_tokens_most_are_masked_some_are_drawn_and_some_stay():
    tokens = torch.randint(5, 100, (400, 40))
    tokens[:, 0] = 2
    mask = torch.arange(40) < torch.randint(2, 41, (400, 1))
    generator = torch.Generator().manual_seed(0)
    batch = hide_tokens({"tokens": tokens, "tokens_mask": mask}, 100, 4, generator, range(5))
    hidden, read = batch["hidden"], batch["tokens"]
    assert not hidden[:, 0].any()
    assert not (hidden & ~mask).any()
    assert hidden.sum(1).tolist() == [max(1, round(0.15 * (n - 1))) for n in mask.sum(1).tolist()]
    assert torch.equal(batch["label"], tokens[hidden])
    assert torch.equal(read[~hidden], tokens[~hidden])
    masked = (read[hidden] == 4).double().mean()
    kept = (read[hidden] == tokens[hidden]).double().mean()
    assert abs(masked - 0.8) < 0.04
    assert abs(kept - 0.1) < 0.04
    assert read[hidden].min() >= 4


def test_hidden_places_are_spread_evenly_and_drawn_anew():
    tokens, generator = torch.full((2000, 4), 7), torch.Generator().manual_seed(0)
    first, again = (hide_tokens({"tokens": tokens}, 9, 1, generator)["hidden"] for _ in range(2))
    assert not torch.equal(first, again)
    assert (first.double().mean(0) - 0.25).abs().max() < 0.04


def test_nothing_to_hide_is_refused():
    generator = torch.Generator()
    with pytest.raises(ValueError, match="something to hide"):
        hide_tokens({"tokens": torch.tensor([[2, 3]])}, 9, 4, generator, special=[2, 3])
