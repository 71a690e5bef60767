"""`Dataset`: columns, rows, subsets, transforms, and what it says of bad input."""

import pickle

import numpy as np
import pytest
import torch

import mmtutor.data
from mmtutor.data import Dataset, collate


@pytest.fixture
def dataset():
    return Dataset({"label": torch.tensor([10, 11, 12]), "caption": ["a", "b", "c"]}, name="toy")


def test_rows_and_columns(dataset):
    assert len(dataset) == 3
    assert dataset[1] == {"label": torch.tensor(11), "caption": "b"}
    assert dataset[-1]["caption"] == "c"
    assert dataset[torch.tensor(2)]["caption"] == "c"
    assert dataset.__getitems__([2, 0]) == [dataset[2], dataset[0]]
    assert dataset.column("caption") == ["a", "b", "c"]
    assert [example["caption"] for example in dataset] == ["a", "b", "c"]


def test_subset_takes_rows_in_order_or_a_mask(dataset):
    assert dataset.subset([2, 0, -1]).column("caption") == ["c", "a", "c"]
    assert dataset.subset(range(1, 3)).column("label").tolist() == [11, 12]
    assert dataset.subset(torch.tensor([True, False, True])).column("caption") == ["a", "c"]
    assert dataset.subset([False, True, False]).column("label").tolist() == [11]
    assert len(dataset.subset([])) == 0
    assert dataset.subset([0]).name == "toy"


def test_transforms_compose_in_order_and_leave_the_columns_alone(dataset):
    louder = dataset.with_transform(lambda e: {**e, "caption": e["caption"].upper()})
    twice = louder.with_transform(lambda e: {**e, "caption": e["caption"] + e["caption"].lower()})
    assert twice[0]["caption"] == "Aa"
    assert twice.subset([1])[0]["caption"] == "Bb"
    assert twice.column("caption") == ["a", "b", "c"]
    assert dataset[0]["caption"] == "a"


def test_with_column_adds_and_replaces(dataset):
    added = dataset.with_column("weight", [1.0, 2.0, 3.0])
    assert added[2]["weight"] == 3.0
    assert "weight" not in dataset[2]
    assert added.with_column("weight", [0.0] * 3)[2]["weight"] == 0.0


def test_bad_input_is_named(dataset):
    with pytest.raises(ValueError, match="'empty': it needs at least one column"):
        Dataset({}, name="empty")
    with pytest.raises(ValueError, match=r"differ in length: \{'label': 3, 'short': 2\}"):
        Dataset({"label": torch.zeros(3), "short": [1, 2]})
    with pytest.raises(TypeError, match="'label' of 'dataset' is a tuple"):
        Dataset({"label": (1, 2)})
    with pytest.raises(IndexError, match="index 3 is outside dataset 'toy' of 3"):
        dataset[3]
    with pytest.raises(IndexError, match="index -4 is outside"):
        dataset[-4]
    with pytest.raises(IndexError, match="index 7 is outside"):
        dataset.subset([0, 7])
    with pytest.raises(IndexError, match="mask of 2 rows"):
        dataset.subset(torch.tensor([True, False]))
    with pytest.raises(KeyError, match="no column 'image'; it has label, caption"):
        dataset.column("image")


def test_load_names_the_datasets_there_are():
    with pytest.raises(ValueError, match=r"name must be .*'shapes', .*'stamps', .*got 'coco'"):
        mmtutor.data.load("coco")


def test_composed_transforms_can_be_sent_to_a_worker():
    data = Dataset({"x": [1, 2]}).with_transform(dict).with_transform(dict)
    assert pickle.loads(pickle.dumps(data))[1] == {"x": 2}


def test_rows_may_be_numbers_of_numpy_and_a_mask_of_bytes():
    data = Dataset({"x": np.arange(3), "s": np.array(["a", "b", "c"])})
    assert data.column("s") == ["a", "b", "c"]
    assert data[np.int64(1)] == {"x": torch.tensor(1), "s": "b"}
    for rows in (np.array([2, 0]), [np.int32(2), np.int64(0)], torch.tensor([2, 0]), iter((2, 0))):
        assert data.subset(rows).column("s") == ["c", "a"]
    assert data.subset(torch.tensor([1, 0, 1], dtype=torch.uint8)).column("s") == ["a", "c"]
    assert len(data.subset([])) == 0


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([0.9, 1.7], TypeError),
        (torch.tensor([0.0, 1.0]), TypeError),
        ("01", TypeError),
        (torch.tensor([[0]]), ValueError),
        ([0, 1, 1, 0, 1], ValueError),  # a mask, or two rows several times?
    ],
)
def test_rows_that_may_be_misread_are_refused(rows, error):
    with pytest.raises(error, match="indices"):
        Dataset({"x": torch.arange(5)}).subset(rows)


@pytest.mark.parametrize("index", [1.0, "1", True, None, torch.tensor([0, 1])])
def test_an_index_is_a_whole_number(index):
    with pytest.raises(TypeError, match="index must be a whole number"):
        Dataset({"x": torch.arange(5)})[index]


def test_arrays_of_any_layout_are_copied():
    array = np.arange(4)
    array.flags.writeable = False
    for column in (array, array[::-1], array.astype(">i4"), np.asfortranarray(np.ones((4, 2)))):
        data = Dataset({"x": column})
        assert data.column("x").tolist() == column.tolist()
        assert collate([{"x": column}])["x"].tolist() == [column.tolist()]
