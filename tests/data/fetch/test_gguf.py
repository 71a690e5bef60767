"""GGUF files: what was written comes back, and damaged ones are refused."""

import struct

import numpy as np
import pytest
import torch

from mmtutor.data.fetch import FetchError
from mmtutor.data.fetch.gguf import read_gguf
from tests.data.ggufs import Q4_1, Q8_0, f32, gguf

FIELDS = {"name": "Größe", "on": True, "count": 7, "rate": 0.5, "tokens": ["a", "b"], "n": [1, 2]}
WIDE = np.arange(6).reshape(2, 3)
FOUR = struct.pack("<ee", 0.5, -1.0) + bytes(i | (15 - i) << 4 for i in range(16))
EIGHT = struct.pack("<e32b", 0.25, *range(-16, 16))
TENSORS = {"wide": f32(WIDE), "four": ((2, 32), Q4_1, 2 * FOUR), "eight": ((32,), Q8_0, EIGHT)}


def test_fields_and_weights_come_back(tmp_path):
    (tmp_path / "x.gguf").write_bytes(gguf(FIELDS, TENSORS))
    fields, tensors = read_gguf(tmp_path / "x.gguf")
    assert fields == FIELDS
    assert torch.equal(tensors["wide"], torch.tensor(WIDE, dtype=torch.float32))
    row = [0.5 * code - 1 for code in [*range(16), *range(15, -1, -1)]]
    assert tensors["four"].tolist() == [row, row]
    assert tensors["eight"].tolist() == [0.25 * code for code in range(-16, 16)]


@pytest.mark.parametrize(
    "data",
    {
        "empty": b"",
        "not one": b"<svg></svg>" * 9,
        "version 2": gguf(FIELDS, TENSORS).replace(b"GGUF\x03", b"GGUF\x02"),
        "other code": gguf(FIELDS, {"x": ((32,), 12, EIGHT)}),
        "cut in the weights": gguf(FIELDS, TENSORS)[:-1],
        "cut in the fields": gguf(FIELDS, TENSORS)[:60],
    }.values(),
)
def test_damaged_files_are_refused(tmp_path, data):
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(FetchError, match=r"x\.gguf is damaged or truncated"):
        read_gguf(tmp_path / "x.gguf")
