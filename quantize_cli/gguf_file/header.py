"""Everything of a GGUF file that stands before its tensor data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from gguf import GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType
from gguf.gguf_writer import TensorInfo, WriterState

from quantize_cli.gguf_file.fields import Field, new_writer

#: Where tensors begin: multiples of this many bytes.
ALIGNMENT = GGUF_DEFAULT_ALIGNMENT


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One line of the table of tensors."""

    name: str
    shape: tuple[int, ...]  #: row-major
    type: GGMLQuantizationType
    nbytes: int


def padded(nbytes: int) -> int:
    """`nbytes` rounded up to the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def encode_header(fields: Iterable[Field], tensors: Sequence[TensorEntry]) -> bytes:
    """Magic, metadata and tensor table, padded to where the tensor data begins.

    The tensors follow one another in the given order, each at the next multiple of the alignment.
    """
    writer = new_writer("")
    writer.kv_data = [{}]
    for field in fields:
        writer.add_key_value(field.key, field.value, field.type, field.item_type)
    writer.tensors = [{t.name: TensorInfo(_significant(t.shape), t.type, t.nbytes) for t in tensors}]
    # The writer wants to open a path; a buffer in its place makes the header known before any file exists.
    buffer = BytesIO()
    writer.fout = [buffer]  # type: ignore[list-item]
    writer.state = WriterState.EMPTY
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    header = buffer.getvalue()
    return header + bytes(padded(len(header)) - len(header))


def _significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    """GGML does not count leading dimensions of 1 (its trailing ones)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
