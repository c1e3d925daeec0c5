"""Compile kernels before they are needed, for example when a container's image is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.gguf_file.types import UseOfImportance
from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.sums import SUMS
from quantize_cli.mixes.find import find_format
from quantize_cli.mixes.rules import types_of

#: What checkpoints are read from.
_SOURCES = ("F16", "BF16")


def warm(formats: Iterable[str]) -> Iterator[str]:
    """Compile whatever runs of `formats` can need, and leave it in the cache; yield each type when it is done.

    Raises:
        UsageError: there is no such format.
    """
    mixes = [find_format(name) for name in formats]
    wanted = {name for mix in mixes for name in types_of(mix)}
    for name in (name for name in BLOCK_TYPES if name in wanted or name in _SOURCES):
        _compile(name)
        yield name


def _compile(name: str) -> None:
    """Run every kernel of the type once."""
    held = BLOCK_TYPES[name]
    columns = max(held.block_size, 256)
    rows = np.ones((1, columns), np.float32)
    packed = np.empty((1, held.row_bytes(columns)), np.uint8)
    decoded = np.empty_like(rows)
    sums = np.empty((1, SUMS))
    uses = {UseOfImportance.NONE: (None,), UseOfImportance.REQUIRED: (rows[0],)}
    for importance in uses.get(held.importance, (None, rows[0])):
        held.quantize(rows, packed, importance)
        held.dequantize(packed, decoded)
        accumulate(rows, decoded, importance, sums)
