"""The encoder of everything before a GGUF file's tensor data; reader.py is the reverse and shows the layout."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.values import encode_field, encode_text

#: Tensors begin at multiples of this many bytes.
ALIGNMENT = 32

MAGIC = b"GGUF"
VERSION = 3


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One line of the table of tensors."""

    name: str
    shape: tuple[int, ...]  #: row-major
    type: int  #: GGML's number
    nbytes: int


def padded(nbytes: int) -> int:
    """Round `nbytes` up to the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def encode_header(fields: Sequence[Field], tensors: Sequence[TensorEntry]) -> bytes:
    """Encode magic, metadata and tensor table, padded to the start of the tensor data.

    The tensors follow one another in the given order, each at the next multiple of the alignment. The `gguf` package's
    writer is not used, because it takes a second for a large vocabulary and refuses empty arrays.
    """
    parts = [struct.pack("<4sIQQ", MAGIC, VERSION, len(tensors), len(fields))]
    parts.extend(map(encode_field, fields))
    offset = 0
    for tensor in tensors:
        sizes = tuple(reversed(_significant(tensor.shape)))
        layout = f"<I{len(sizes)}QIQ"
        parts += encode_text(tensor.name), struct.pack(layout, len(sizes), *sizes, tensor.type, offset)
        offset += padded(tensor.nbytes)
    header = b"".join(parts)
    return header + bytes(padded(len(header)) - len(header))


def _significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop leading dimensions of 1, which GGML does not count (its trailing ones)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
