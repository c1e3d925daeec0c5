"""Which kernels a run needs: each can be run on a row of ones, which loads its machine code or compiles it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.gguf_file.types import GGML_TYPES, UseOfImportance
from quantize_cli.measure.decoded import measure
from quantize_cli.measure.sums import SUMS
from quantize_cli.methods.curvature import Curvature
from quantize_cli.methods.gptq import round_rows
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.rules import types_of
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.simd.sixteen_bits import is_finite

_COLUMNS = 256
#: In the order in which they are compiled: what takes longest comes first.
_WORK = ("round", "quantize", "measure", "read", "check")
#: What checkpoints are read from in one pass, and what computed weights are rounded to.
_SOURCES = ("F16", "BF16")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, for one kind of arguments."""

    work: Literal["round", "quantize", "measure", "read", "check"]
    type: str = "F32"  #: GGML name
    weighted: bool = False  #: whether importance is among the arguments

    def run(self) -> None:
        """Run it on a row of ones."""
        rows = np.ones((1, _COLUMNS), np.float32)
        importance = np.ones(_COLUMNS, np.float32) if self.weighted else None
        held = BLOCK_TYPES[self.type]
        packed = np.zeros((1, held.row_bytes(_COLUMNS)), np.uint8)
        match self.work:
            case "round":
                flat = np.eye(_COLUMNS, dtype=np.float32)
                round_rows(rows, held, Curvature(flat, flat))
            case "quantize":
                held.quantize(rows, packed, importance)
            case "measure":
                measure(held.unpack, packed.reshape(-1, held.block_bytes), rows, importance, np.empty((1, SUMS)))
            case "read":
                held.dequantize(packed, rows)
            case "check":
                is_finite(rows.reshape(-1))


def kernels_of_plans(plans: Iterable[Plan]) -> list[Kernel]:
    """List the kernels that fill these plans."""
    return _listed(kernel for plan in plans for tensor in plan.tensors for kernel in _of_tensor(tensor))


def kernels_of_rounding(plans: Iterable[Plan]) -> list[Kernel]:
    """List what a method with feedback needs beside the kernels that fill these plans."""
    types = {tensor.type for plan in plans for tensor in plan.tensors if tensor.type in BLOCK_TYPES}
    gridded = [name for name in BLOCK_TYPES if name in types and BLOCK_TYPES[name].grid is not None]
    return _listed(kernel for name in gridded for kernel in (Kernel("round", name), Kernel("read", name)))


def kernels_of_mixes(mixes: Iterable[Mix]) -> list[Kernel]:
    """List the kernels that any plan with one of these mixes may need, with importance and without."""
    types = {name for mix in mixes for name in types_of(mix)} | {*_SOURCES}
    kernels = [
        kernel
        for name in BLOCK_TYPES
        if name in types
        for weighted in (False, True)
        for kernel in _of_type(name, weighted=weighted)
    ]
    return _listed([*kernels, *(Kernel("read", name) for name in _SOURCES), Kernel("measure"), Kernel("check")])


def _of_tensor(tensor: PlannedTensor) -> Iterator[Kernel]:
    if tensor.copied:
        if tensor.type in BLOCK_TYPES:
            yield from _of_source(tensor.type)
            yield Kernel("measure")
        return
    if tensor.values is None:
        yield from _of_source(tensor.source_dtype)
        if tensor.maps:
            yield Kernel("check")
    if tensor.rounded_to is not None:
        yield from (Kernel("quantize", tensor.rounded_to), Kernel("read", tensor.rounded_to))
    yield from _of_type(tensor.type, weighted=tensor.importance is not None)


def _of_source(name: str) -> Iterator[Kernel]:
    """Yield what reads a source and checks it."""
    if name in BLOCK_TYPES:
        yield Kernel("read", name)
    if name not in _SOURCES:
        yield Kernel("check")


def _of_type(name: str, *, weighted: bool) -> Iterator[Kernel]:
    """Yield what quantizes to a type and measures the result."""
    use = GGML_TYPES[name].importance
    if weighted or use is not UseOfImportance.REQUIRED:
        yield Kernel("quantize", name, weighted and use is not UseOfImportance.NONE)
    yield Kernel("measure", name, weighted)


def _listed(kernels: Iterable[Kernel]) -> list[Kernel]:
    """List each kernel once; F32 is copied without one."""
    needed = dict.fromkeys(it for it in kernels if it.type != "F32" or it.work in ("measure", "check"))
    return sorted(needed, key=lambda it: _WORK.index(it.work))
