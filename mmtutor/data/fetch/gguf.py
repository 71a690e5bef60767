"""Read a GGUF file: the fields that describe a language model, and its weights as float32.

Knows the container, and three of its codes for numbers: float32, and blocks of 32 numbers in 8 bits
each (Q8_0) or in 4 (Q4_1). Does not know what the names in it mean.

Source: the specification "GGUF" of the project ggml, version 3; its `block_q4_1` and `block_q8_0`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtutor.checks import instance
from mmtutor.data.fetch.archive import FetchError

BLOCK = 32  # numbers that share a scale
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32 = np.dtype("<f4")
_Q8_0 = np.dtype([("scale", "<f2"), ("code", "i1", BLOCK)])
_Q4_1 = np.dtype([("scale", "<f2"), ("least", "<f2"), ("code", "u1", BLOCK // 2)])


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The fields by name, and the weights by name, each float32 of its shape, outermost first.

    Raises:
        FileNotFoundError: there is no such file.
        FetchError: it is no GGUF file of version 3, it is truncated, or a weight has another code.
    """
    instance(Path, path=path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data)
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise FetchError(f"{path.name} is damaged or truncated ({error})") from error


def _read(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, Tensor]]:
    magic, version = data.read(4), _number(data, "I")
    if (magic, version) != (b"GGUF", 3):
        raise ValueError(f"it begins with {magic!r}, version {version}")
    count, fields = _number(data, "Q"), {}
    for _ in range(_number(data, "Q")):
        name = _string(data)
        fields[name] = _value(data, _number(data, "I"))
    places = {}
    for _ in range(count):
        name = _string(data)
        shape = [_number(data, "Q") for _ in range(_number(data, "I"))]
        places[name] = shape[::-1], _number(data, "I"), _number(data, "Q")
    edge = fields.get("general.alignment", 32)
    start = -(-data.tell() // edge) * edge
    return fields, {name: _tensor(data, start, *place) for name, place in places.items()}


def _number(data: mmap.mmap, code: str) -> Any:
    size = struct.calcsize(f"<{code}")
    return struct.unpack(f"<{code}", data.read(size))[0]


def _string(data: mmap.mmap) -> str:
    return data.read(_number(data, "Q")).decode()


def _value(data: mmap.mmap, kind: int) -> Any:
    if kind == _STRING:
        return _string(data)
    if kind == _ARRAY:
        kind, length = _number(data, "I"), _number(data, "Q")
        return [_value(data, kind) for _ in range(length)]
    return _number(data, _NUMBERS[kind])


def _tensor(data: mmap.mmap, start: int, shape: list[int], code: int, offset: int) -> Tensor:
    kind, decode = _CODES[code]
    count = prod(shape) // (1 if kind is _F32 else BLOCK)
    stored = np.frombuffer(data, kind, count, start + offset).copy()  # the file is closed soon
    return torch.from_numpy(decode(stored)).reshape(shape)


def _of_8_bits(blocks: np.ndarray) -> np.ndarray:
    return blocks["scale"].astype(np.float32)[:, None] * blocks["code"]


def _of_4_bits(blocks: np.ndarray) -> np.ndarray:
    """Each byte holds one of the first half in its low bits, one of the second in its high ones."""
    code = np.concatenate([blocks["code"] & 15, blocks["code"] >> 4], axis=1)
    scale, least = (blocks[name].astype(np.float32)[:, None] for name in ("scale", "least"))
    return scale * code + least


_CODES: dict[int, tuple[np.dtype, Callable[[np.ndarray], np.ndarray]]] = {
    0: (_F32, np.asarray),
    3: (_Q4_1, _of_4_bits),
    8: (_Q8_0, _of_8_bits),
}
