"""The reader of everything before a GGUF file's tensor data, which is checked against itself and the file's length.

Layout, little-endian: "GGUF", u32 version, u64 tensors, u64 fields; the fields (key, u32 type, value; values.py is the
reverse); for each tensor its name, u32 dimensions, u64 for each of them, innermost first, u32 type, u64 offset;
padding; the tensor data. The checks are those of ggml/src/gguf.cpp. The `gguf` package's reader is not used, because it
maps the file into memory, trusts every count, and makes an array of every token.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.gguf_file.fields import NUMBERS, Field, ValueType
from quantize_cli.gguf_file.header import ALIGNMENT, MAGIC
from quantize_cli.gguf_file.other_files import START_BYTES, mistaken_for
from quantize_cli.gguf_file.types import TYPES_BY_NUMBER, GgmlType
from quantize_cli.gguf_file.values import as_text

#: Headers of real models, with vocabularies of 260,000 tokens and 500,000 merges, take less than 20 MB.
MAX_HEADER_BYTES = 64_000_000
MAX_ITEMS = 1 << 22  #: of one array
MAX_TENSORS = 1 << 16  #: real models have at most some 2,000

_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_NAME_BYTES = 63  # GGML_MAX_NAME, less its final zero
_MIN_FIELD_BYTES = 8 + 1 + 4 + 1  # key of one byte, type, a value of one byte
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8  # empty name, number of dimensions, type, offset
_MAX_DATA_BYTES = (1 << 63) - 1
#: Types that GGML has had, and what became of them (ggml.h, `enum ggml_type`).
_REMOVED_TYPES = frozenset({4, 5, 31, 32, 33, 36, 37, 38})


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One line of the table of tensors."""

    name: str
    shape: tuple[int, ...]  #: row-major, every dimension that the file writes down
    type: GgmlType
    offset: int  #: in bytes from the start of the file
    nbytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the tensor data."""

    fields: tuple[Field, ...]  #: in file order; text that is not UTF-8 is bytes
    tensors: tuple[GgufTensor, ...]  #: in file order, which is the order of their data
    alignment: int
    data_start: int  #: in bytes from the start of the file
    data_end: int  #: where the last tensor ends, without padding


def parse_header(file: BinaryIO, size: int, path: Path) -> GgufHeader:
    """Read the header of an open file of `size` bytes from its start, but no tensor data; `path` is for messages.

    Raises:
        CheckpointError: The file is not a GGUF file, is damaged, or is cut off.
        UnsupportedError: llama.cpp does not read its version, its byte order or one of its types.
        OSError: The file cannot be read.
    """
    source = _Source(file, size)
    try:
        _check_start(source, path)
        return _header(source, path)
    except CutOffError as error:
        raise CheckpointError(
            f"{path} is not complete: {error}; download the whole file again, or take it from another source."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}; download it again.") from error


class CutOffError(ValueError):
    """The file ends before what its header announces."""


class _Source:
    """The bytes of an untrusted file in order; a length that is too large is refused before memory is allocated."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self.position = 0
        self._end = min(size, MAX_HEADER_BYTES)

    def peek(self, count: int) -> bytes:
        """Return the first bytes of the file, at most `count`, and stay at its start."""
        data = self._file.read(min(count, self.size))
        self._file.seek(0)
        return data

    def take(self, count: int) -> bytes:
        """Read the next `count` bytes; raise ValueError if fewer are left."""
        self.expect(count, 1)
        self.position += count
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it became shorter while it was read")
        return data

    def expect(self, count: int, item_bytes: int) -> None:
        """Raise ValueError if `count` items of at least `item_bytes` each cannot follow."""
        if count * item_bytes <= self._end - self.position:
            return
        if self._end < self.size:
            raise ValueError(f"its header is over the limit of {MAX_HEADER_BYTES} bytes")
        if count * item_bytes <= MAX_HEADER_BYTES:
            raise CutOffError(f"it ends at byte {self.size:,}, within its header")
        raise ValueError(
            f"at byte {self.position:,} it states that {count:,} items of {item_bytes} bytes or more follow, but it "
            f"ends at byte {self.size:,}"
        )

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Read the next values, little-endian, by `struct`'s letters."""
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def text(self) -> bytes:
        """Read the next string."""
        return self.take(int.from_bytes(self.take(8), "little"))


def _check_start(source: _Source, path: Path) -> None:
    """Check magic and version."""
    start = source.peek(START_BYTES)
    if not start.startswith(MAGIC):
        mistake = mistaken_for(start, "a GGUF file")
        raise CheckpointError(
            f"{path} is {mistake}."
            if mistake is not None
            else f"{path} is not a GGUF file, because it begins with {shown(start[:4])}; check the path, or download "
            "it again."
        )
    source.take(len(MAGIC))
    (version,) = source.unpack("I")
    if version & 0xFFFF == 0 and version:
        raise UnsupportedError(f"{path} is a big-endian GGUF file; take the little-endian one of the same model.")
    if version not in _VERSIONS:
        raise UnsupportedError(
            f"{path} has GGUF version {version}, which is not supported; convert the model again to version "
            f"{' or '.join(map(str, _VERSIONS))}."
        )


def _header(source: _Source, path: Path) -> GgufHeader:
    tensor_count, field_count = source.unpack("QQ")
    source.expect(field_count, _MIN_FIELD_BYTES)
    fields: dict[str, Field] = {}
    for _ in range(field_count):
        field = _field(source)
        if field.key in fields:
            raise ValueError(f"it has the key {shown(field.key)} twice")
        fields[field.key] = field
    alignment = _alignment(fields.get("general.alignment"))
    source.expect(tensor_count, _MIN_TENSOR_BYTES)
    if tensor_count > MAX_TENSORS:
        raise ValueError(f"it states that it has {tensor_count:,} tensors, but {MAX_TENSORS:,} is the limit")
    tensors = [_tensor(source, path) for _ in range(tensor_count)]
    data_start = _padded(source.position, alignment) if tensors else source.position
    data_end = data_start + _check_places(tensors, alignment)
    if data_end > source.size:
        raise CutOffError(
            f"it has {source.size:,} of {data_end:,} bytes, so {data_end - source.size:,} of them are missing"
        )
    placed = (GgufTensor(t.name, t.shape, t.type, data_start + t.offset, t.nbytes) for t in tensors)
    return GgufHeader(tuple(fields.values()), tuple(placed), alignment, data_start, data_end)


def _field(source: _Source) -> Field:
    key = _name(source.text(), "key")
    if not key:
        raise ValueError("one of its keys is empty")
    try:
        (value_type,) = source.unpack("I")
        if value_type != ValueType.ARRAY:
            (value,) = _values(source, value_type, 1)
            return Field(key, ValueType(value_type), value)
        item_type, count = source.unpack("IQ")
        return Field(key, ValueType.ARRAY, _values(source, item_type, count), ValueType(item_type))
    except CutOffError:
        raise
    except ValueError as error:
        raise ValueError(f"in the value of {shown(key)}, {error}") from error


def _values(source: _Source, item_type: int, count: int) -> Sequence[Any]:
    if count > MAX_ITEMS:
        raise ValueError(f"it has {count:,} items, but {MAX_ITEMS:,} is the limit")
    if item_type == ValueType.STRING:
        source.expect(count, 8)
        return _texts(tuple(source.text() for _ in range(count)))
    if item_type not in NUMBERS:  # also an array in an array, which GGML does not read
        raise ValueError(f"the type is {item_type}, which GGUF does not have there")
    letter = NUMBERS[ValueType(item_type)]
    source.expect(count, struct.calcsize(f"<{letter}"))
    if letter == "?":
        return source.unpack(f"{count}?")
    return array(letter, source.take(count * struct.calcsize(f"<{letter}")))


def _texts(raw: tuple[bytes, ...]) -> tuple[str, ...] | tuple[bytes, ...]:
    """Decode strings, or leave all as bytes if one is not UTF-8, because an array's items have one type."""
    try:
        return tuple(item.decode() for item in raw)
    except UnicodeDecodeError:
        return raw


def _name(raw: bytes, what: str) -> str:
    name = as_text(raw)
    if isinstance(name, bytes) or not name.isprintable():
        raise ValueError(f"one of its {what}s is {shown(raw)}, which is not printable text")
    return name


def _alignment(field: Field | None) -> int:
    if field is None:
        return ALIGNMENT
    value = field.value
    if field.type is not ValueType.UINT32 or value == 0 or value & (value - 1):
        raise ValueError(f"{field.key} is {shown(value)} ({field.type.name}) instead of a power of 2 as UINT32")
    return int(value)


def _tensor(source: _Source, path: Path) -> GgufTensor:
    """Read one line of the table and check it by itself; its offset still counts from the start of the data."""
    name = _name(source.text(), "tensor name")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError(f"the tensor name {shown(name)} is longer than {_MAX_NAME_BYTES} bytes")
    (dimensions,) = source.unpack("I")
    if dimensions > _MAX_DIMENSIONS:
        raise ValueError(f"tensor {shown(name)} has {dimensions} dimensions, but {_MAX_DIMENSIONS} is the limit")
    *sizes, number, offset = source.unpack(f"{dimensions}QIQ")
    shape = tuple(reversed(sizes)) or (1,)
    if 0 in shape:
        raise ValueError(f"tensor {shown(name)} of shape {list(shape)} has no elements")
    if number not in TYPES_BY_NUMBER:
        reason = (
            "which llama.cpp has removed; take a newer file of the same model"
            if number in _REMOVED_TYPES
            else "which is not known here; take a file in another format, or update this program if llama.cpp has it"
        )
        raise UnsupportedError(f"{path}: tensor {shown(name)} is of GGML type {number}, {reason}.")
    held = TYPES_BY_NUMBER[number]
    if shape[-1] % held.block_size:
        raise ValueError(
            f"tensor {shown(name)} has rows of {shape[-1]} elements, which is not a multiple of {held.block_size}, the "
            f"block size of {held.name}"
        )
    return GgufTensor(name, shape, held, offset, math.prod(shape) // held.block_size * held.block_bytes)


def _check_places(tensors: Iterable[GgufTensor], alignment: int) -> int:
    """Check that tensors follow one another, each at the next multiple of the alignment; return where the last ends."""
    names: set[str] = set()
    begin = end = 0
    for tensor in tensors:
        if tensor.name in names:
            raise ValueError(f"it has the tensor {shown(tensor.name)} twice")
        names.add(tensor.name)
        if tensor.offset != begin:
            raise ValueError(
                f"tensor {shown(tensor.name)} begins at byte {tensor.offset} of the data instead of {begin}"
            )
        end = begin + tensor.nbytes
        if end > _MAX_DATA_BYTES:
            raise ValueError(f"tensor {shown(tensor.name)} of shape {list(tensor.shape)} is larger than any file")
        begin = _padded(end, alignment)
    return end


def _padded(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment
