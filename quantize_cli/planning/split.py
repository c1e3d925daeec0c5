"""A model in several files: the tensors and the metadata of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.fields import Field, ValueType, with_fields
from quantize_cli.gguf_file.header import padded
from quantize_cli.planning.model import PlannedFile, PlannedTensor

#: All parts are open until the last is complete, and many systems allow a process about 1,000 open files.
MAX_PARTS = 512

_SIZE = re.compile(r"([1-9]\d{0,9})([MG])", re.IGNORECASE)
_UNITS = {"M": 1000**2, "G": 1000**3}

Parts = list[list[PlannedTensor]]


def parse_size(text: str) -> int:
    """Parse a size with its unit, 500M or 4G, in powers of 1000 bytes as llama-gguf-split does.

    Raises:
        UsageError: The text is of another form.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{shown(text)} is not a size; write it as in 500M or 4G.")
    return int(found[1]) * _UNITS[found[2].upper()]


def whole(tensors: Sequence[PlannedTensor], metadata: tuple[Field, ...]) -> tuple[PlannedFile, ...]:
    """Put all tensors into one file."""
    return (PlannedFile("", metadata, tuple(_placed(tensors))),)


def as_in_source(
    tensors: Sequence[PlannedTensor], metadata: tuple[Field, ...], infos: Mapping[str, TensorInfo]
) -> tuple[PlannedFile, ...]:
    """Make the source's files and keep the order in each (llama-quantize --keep-split)."""
    files = {file: number for number, file in enumerate(dict.fromkeys(info.file for info in infos.values()))}
    places = {name: place for place, name in enumerate(infos)}
    parts: Parts = [[] for _ in files]
    # A tensor that is computed, not read, has no file; it comes first.
    for tensor in sorted(tensors, key=lambda tensor: min((places[name] for name in tensor.sources), default=-1)):
        part = files[infos[tensor.sources[0]].file] if tensor.sources else 0
        parts[part].append(tensor)

    def fields(number: int, count: int) -> list[Field]:
        return [_number(number), _count(count), _tensors(len(tensors))] if count > 1 else []

    return _files(parts, metadata, fields)


def by_size(tensors: Sequence[PlannedTensor], metadata: tuple[Field, ...], size: int) -> tuple[PlannedFile, ...]:
    """Make files of at most `size` bytes of tensors each (llama-gguf-split --split-max-size)."""
    parts: Parts = [[]]
    filled = 0
    for tensor in tensors:
        nbytes = padded(tensor.nbytes)
        if parts[-1] and filled + nbytes > size:
            parts.append([])
            filled = 0
        parts[-1].append(tensor)
        filled += nbytes
    return _files(parts, metadata, lambda number, count: [_number(number), _tensors(len(tensors)), _count(count)])


def _files(
    parts: Parts, metadata: tuple[Field, ...], fields: Callable[[int, int], list[Field]]
) -> tuple[PlannedFile, ...]:
    """Make the files: the first has the model's metadata, and each has `fields(number, count)`."""
    parts = [part for part in parts if part]
    count = len(parts)
    if count > MAX_PARTS:
        raise UsageError(
            f"The model would take {count:,} files, but at most {MAX_PARTS} can be written at once; allow more bytes "
            "in each with --split-max-size."
        )
    return tuple(
        PlannedFile(
            suffix=f"-{number + 1:05}-of-{count:05}",
            metadata=with_fields(metadata if number == 0 else (), fields(number, count)),
            tensors=tuple(_placed(part)),
        )
        for number, part in enumerate(parts)
    )


def _placed(tensors: Sequence[PlannedTensor]) -> Iterator[PlannedTensor]:
    offset = 0
    for tensor in tensors:
        yield replace(tensor, offset=offset)
        offset += padded(tensor.nbytes)


def _number(number: int) -> Field:
    return Field("split.no", ValueType.UINT16, number)


def _count(count: int) -> Field:
    return Field("split.count", ValueType.UINT16, count)


def _tensors(count: int) -> Field:
    return Field("split.tensors.count", ValueType.INT32, count)
