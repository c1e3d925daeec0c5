"""What the error report costs: decoding a slab and summing its differences, beside the same sums in NumPy's float64.

    python bench/error_sums.py [TYPE ...]

Times are CPU times of the thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median

import _table
import numpy as np
from _table import Row, ratio, show

from quantize_cli.blocks.base import BlockType, Packed, Rows
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.measure.decoded import measure
from quantize_cli.measure.sums import SUMS

TYPES = ("Q4_K", "Q8_0")
ROWS, COLUMNS = 128, 2048
REPEATS, ROUNDS = 10, 11


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("types", metavar="TYPE", nargs="*", default=TYPES)
    arguments = parser.parse_args()
    show(rows(arguments.types), arguments)


def rows(types: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each type, without importance and with it."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    importance = rng.standard_normal(COLUMNS, dtype=np.float32) ** 2
    for name in types:
        held = BLOCK_TYPES[name]
        packed = np.empty((ROWS, held.row_bytes(COLUMNS)), np.uint8)
        for given in (None, importance):
            held.quantize(weights, packed, given)
            sums = np.empty((ROWS, SUMS))
            measured = partial(measure, held.unpack, packed.reshape(-1, held.block_bytes), weights, given, sums)
            measured()  # compiles
            plain = partial(_in_numpy, held, packed, weights, given)
            pairs = [(_seconds(measured), _seconds(plain)) for _ in range(ROUNDS)]
            ours, theirs = (median(side) / weights.size * 1e9 for side in zip(*pairs, strict=True))
            yield Row(
                f"error sums of {name}{' with imatrix' if given is not None else ''}",
                f"{ours:.2f} ns",
                f"{theirs:.2f} ns",
                ratio(other / own for own, other in pairs),
                remark="a weight, decoding included; the reference is NumPy",
            )


def _in_numpy(held: BlockType, packed: Packed, rows: Rows, importance: Rows | None) -> None:
    """Decode and sum up as one would without a kernel for it."""
    decoded = np.empty_like(rows)
    held.dequantize(packed, decoded)
    x, y = rows.astype(np.float64), decoded.astype(np.float64)
    d = x - y
    sums = [np.einsum("ij,ij->i", one, other) for one, other in ((x, x), (y, y), (d, d))]
    if importance is not None:
        sums += [np.einsum("ij,ij,j->i", side, side, importance) for side in (x, d)]
    np.abs(d).max(axis=1)


def _seconds(function: Callable[[], object]) -> float:
    started = time.thread_time()
    for _ in range(REPEATS):
        function()
    return (time.thread_time() - started) / REPEATS


if __name__ == "__main__":
    main()
