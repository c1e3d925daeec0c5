"""What the error report costs: decoding a slab and summing its differences.

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
from _table import Row, show

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
            nanoseconds = [_seconds(measured) / weights.size * 1e9 for _ in range(ROUNDS)]
            yield Row(
                f"error sums of {name}{' with imatrix' if given is not None else ''}",
                f"{median(nanoseconds):.2f} ns",
                remark=f"a weight, decoding included ({min(nanoseconds):.2f}-{max(nanoseconds):.2f})",
            )


def _seconds(function: Callable[[], object]) -> float:
    started = time.thread_time()
    for _ in range(REPEATS):
        function()
    return (time.thread_time() - started) / REPEATS


if __name__ == "__main__":
    main()
