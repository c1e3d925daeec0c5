"""The types whose cost is measured, and what storing a tensor in each would change of its weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.gguf_file.types import GGML_TYPES, UseOfImportance
from quantize_cli.planning.model import PlannedTensor

#: Types that may be worth their bytes, fewest bits first. Ternary types are for models that were trained as such. The
#: type that a tensor is stored in costs nothing, and is not measured.
CANDIDATES = (
    *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K", "IQ4_XS", "IQ4_NL"),
    *("Q4_0", "Q4_K", "Q4_1", "Q5_0", "Q5_K", "Q5_1", "Q6_K", "Q8_0"),
)

#: Weights that one kernel call works on.
_CHUNK = 1 << 16

Rows = NDArray[np.float32]


def candidates_of(tensor: PlannedTensor, importance: Rows | None, types: Collection[str]) -> tuple[str, ...]:
    """Return those of `types` that a tensor can be stored in, fewest bits first."""
    if len(tensor.shape) < 2:
        return ()
    return tuple(
        name
        for name in CANDIDATES
        if name in types
        and tensor.columns % GGML_TYPES[name].block_size == 0
        and (importance is not None or GGML_TYPES[name].importance is not UseOfImportance.REQUIRED)
    )


def stored(rows: Rows, name: str, importance: Rows | None, rows_of_an_expert: int, pool: Executor) -> Rows:
    """Return what is read of rows float32[n, columns] that were stored in a type.

    Args:
        rows: The weights.
        name: GGML's name of the type.
        importance: float32[experts, columns], or None.
        rows_of_an_expert: Number of rows that share an importance.
        pool: Where kernels run, which release the interpreter.
    """
    read = np.empty_like(rows)

    def work(some: slice) -> None:
        held, part = BLOCK_TYPES[name], np.ascontiguousarray(rows[some])
        packed = np.empty((len(part), held.row_bytes(rows.shape[1])), np.uint8)
        # With four dimensions the experts come again and again.
        number = some.start // rows_of_an_expert
        held.quantize(part, packed, None if importance is None else importance[number % len(importance)])
        held.dequantize(packed, read[some])

    list(pool.map(work, _chunks(len(rows), rows.shape[1], rows_of_an_expert)))
    return read


def _chunks(rows: int, columns: int, rows_of_an_expert: int) -> Sequence[slice]:
    """Return parts of a tensor's rows, none of which has rows of two experts."""
    step = max(1, _CHUNK // columns)
    return [
        slice(start, min(start + step, expert + rows_of_an_expert))
        for expert in range(0, rows, rows_of_an_expert)
        for start in range(expert, expert + rows_of_an_expert, step)
    ]
