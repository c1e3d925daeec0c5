"""The header of a safetensors file, which is checked against itself and against the file's length.

Layout: u64 little-endian N, then N bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}}, then the bytes of
the tensors without gaps. A local header is read by the `safetensors` library too, and both must find the same. Its
reader alone is not enough: it does not tell a tensor's place in the file, and it maps the file into memory, where every
page that is read counts as resident, so weights do not go through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeGuard

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.reading import Stamp, opened
from quantize_cli.checkpoints.sidecars import parse_object
from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.gguf_file.other_files import START_BYTES, mistaken_for

#: Bits per element of every dtype that the format has (safetensors 0.8, `enum Dtype`).
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}

MAX_HEADER_BYTES = 100_000_000  #: the safetensors library's own limit
_MAX_DIMENSIONS = 64  # NumPy's
_MAX_TENSOR_BITS = 2**63 - 1


#: A function that returns the bytes `start:stop` of a file, or fewer if it ends before.
Read: TypeAlias = Callable[[int, int], bytes]


def read_header(path: Path) -> tuple[Stamp, list[Located]]:
    """Read the tensors of one safetensors file on a disk, sorted by name, and the file's stamp.

    Raises:
        CheckpointError: The file cannot be read, or see `read_tensors`.
        UnsupportedError: See `read_tensors`.
    """
    with opened(path) as file:
        tensors = read_tensors(file.read, file.size, str(path))
        _compare_with_library(path, tensors)
        return file.stamp, tensors


def _compare_with_library(path: Path, tensors: Sequence[Located]) -> None:
    """Refuse a header that the `safetensors` library refuses, or in which it finds other tensors."""
    from safetensors import SafetensorError, safe_open  # only a model of safetensors files needs it

    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            theirs = {name: (held.get_dtype(), tuple(held.get_shape())) for name, held in slices.items()}
    except SafetensorError as error:
        raise _damaged(str(path), f"the safetensors library refuses it ({error})") from error
    if theirs != {tensor.info.name: (tensor.info.dtype, tensor.info.shape) for tensor in tensors}:
        raise _damaged(str(path), "the safetensors library finds other tensors in it")


def read_tensors(read: Read, size: int, where: str) -> list[Located]:
    """Read the tensors of one safetensors file of `size` bytes, sorted by name; `where` ends in its name.

    Raises:
        CheckpointError: The file is of another kind, its header is damaged, or it contradicts `size`.
        UnsupportedError: A tensor has a dtype that the format does not know.
    """
    start = read(0, min(START_BYTES, size))
    length = int.from_bytes(start[:8], "little")
    mistake = mistaken_for(start, "a safetensors file")
    # The length of a good header may look like the beginning of another kind of file.
    plausible = length <= MAX_HEADER_BYTES and start[8:9] == b"{"
    if mistake is not None and not plausible:
        raise CheckpointError(f"{where} is {mistake}.")
    if size < 8:
        raise _damaged(where, f"it is only {size} bytes long")
    if length > MAX_HEADER_BYTES:
        raise _damaged(where, f"its header of {length:,} bytes is over the format's limit of {MAX_HEADER_BYTES:,}")
    if length > size - 8:
        raise _cut_off(where, size, 8 + length)
    return parse_header(read(8, 8 + length), size - 8 - length, where)


def parse_header(header: bytes, data_bytes: int, where: str) -> list[Located]:
    """Return the tensors that `header` describes, sorted by name; `data_bytes` follow the header in the file.

    Raises:
        CheckpointError: The header is damaged, or its tensors do not fill the `data_bytes` exactly.
        UnsupportedError: A tensor has a dtype that the format does not know.
    """
    try:
        entries = parse_object(header)
    except ValueError as error:
        raise _damaged(where, f"its header is not a JSON object ({error})") from error
    entries.pop("__metadata__", None)
    located = [_located(name, entry, where) for name, entry in entries.items()]
    located.sort(key=lambda tensor: (tensor.offset, tensor.info.nbytes))
    end = 0
    for tensor in located:
        name, begin = tensor.info.name, tensor.offset
        if begin != end:
            trouble = "overlapping" if begin < end else "leaving a hole after"
            raise _damaged(
                where, f"tensor {shown(name)} begins at byte {shown(begin)}, {trouble} the one that ends at {end}"
            )
        end += tensor.info.nbytes
    data_start = 8 + len(header)
    if end > data_bytes:
        raise _cut_off(where, data_start + data_bytes, data_start + end)
    if end != data_bytes:
        raise _damaged(where, f"{data_bytes - end:,} bytes follow its last tensor")
    located = [Located(tensor.info, data_start + tensor.offset) for tensor in located]
    return sorted(located, key=lambda tensor: tensor.info.name)


def _located(name: str, entry: object, where: str) -> Located:
    """Check one entry of the header by itself; its offset still counts from the end of the header."""
    if not name.isprintable():
        raise _damaged(where, f"the tensor name {shown(name)} is not printable text")
    if not isinstance(entry, dict):
        raise _damaged(where, f"tensor {shown(name)} is {shown(entry)} instead of an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise _damaged(where, f"tensor {shown(name)} has the dtype {shown(dtype)}")
    if not _is_naturals(shape) or len(shape) > _MAX_DIMENSIONS:
        raise _damaged(where, f"tensor {shown(name)} has the shape {shown(shape)}")
    if not _is_naturals(offsets) or len(offsets) != 2:
        raise _damaged(where, f"tensor {shown(name)} has the data_offsets {shown(offsets)}")
    if dtype not in DTYPE_BITS:
        raise UnsupportedError(
            f"{where}: tensor {shown(name)} has the unknown dtype {shown(dtype)}; save the model as BF16, F16 or F32."
        )
    # Dimensions of 0 are left out, so that the others stay bounded in an empty tensor too.
    if math.prod(filter(None, shape)) * DTYPE_BITS[dtype] > _MAX_TENSOR_BITS:
        raise _damaged(where, f"tensor {shown(name)} of shape {shown(shape)} is larger than any file")
    begin, end = offsets
    if (end - begin) * 8 != math.prod(shape) * DTYPE_BITS[dtype]:
        raise _damaged(
            where,
            f"tensor {shown(name)}, {dtype} of shape {shown(shape)}, does not fill its data_offsets {shown(offsets)}",
        )
    return Located(TensorInfo(name, dtype, tuple(shape), end - begin, where.rpartition("/")[2]), begin)


def _is_naturals(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _cut_off(where: str, size: int, needed: int) -> CheckpointError:
    return CheckpointError(
        f"{where} is not complete: it has {size:,} of {needed:,} bytes, so {needed - size:,} of them are missing; "
        "download the whole file again, or take it from another source."
    )


def _damaged(where: str, trouble: str) -> CheckpointError:
    return CheckpointError(f"{where} is damaged: {trouble}; download it again.")
