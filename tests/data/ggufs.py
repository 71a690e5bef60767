"""Tiny GGUF files, written by hand."""

import struct

import numpy as np

KINDS = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}
F32, Q4_1, Q8_0 = 0, 3, 8


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def value(x) -> bytes:
    """Its kind and itself."""
    if isinstance(x, str):
        return struct.pack("<I", 8) + string(x)
    if isinstance(x, list):
        return struct.pack("<I", 9) + value(x[0])[:4] + struct.pack("<Q", len(x)) + bare(x)
    kind, code = KINDS[type(x)]
    return struct.pack(f"<I{code}", kind, x)


def bare(x: list) -> bytes:
    return b"".join(value(entry)[4:] for entry in x)


def f32(x: np.ndarray) -> tuple:
    return x.shape, F32, x.astype("<f4").tobytes()


def gguf(fields: dict, tensors: dict[str, tuple]) -> bytes:
    """`tensors`: name -> (shape, outermost first, code, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(string(name) + value(x) for name, x in fields.items())
    body = b""
    for name, (shape, code, data) in tensors.items():
        body += bytes(-len(body) % 32)
        head += string(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *shape[::-1]) + struct.pack("<IQ", code, len(body))
        body += data
    return head + bytes(-len(head) % 32) + body
