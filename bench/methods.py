"""What rounding with feedback and descent costs, beside the products that its statistics take anyway.

    python bench/methods.py [TYPE:COLUMNS ...]

One thread, NumPy's float32. Each round measures three things, one after the other: `round_rows`, the product X W^T that
takes 16,384 tokens through the same weights, and the product X^T X of these tokens, which is the Hessian that the
rounding goes by. Products are measured with fewer tokens, and rounding with few rows: times grow with both in
proportion. Times are CPU times of the thread. A Hessian serves all rows of a matrix, so its part is told for a square
one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import _one_thread  # noqa: F401  # it comes before NumPy, as the alphabet has it
import _table
import numpy as np
from _table import Row, ratio, show
from numpy.typing import NDArray

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.methods.curvature import Curvature
from quantize_cli.methods.gptq import ROWS_AT_ONCE, round_rows
from quantize_cli.methods.table import ROUNDED_TYPES

CASES = ("Q4_0:576", "Q8_0:576", "Q4_K:2048", "Q3_K:2048", "Q4_K:4096", "Q4_0:4096", "Q3_K:4096", "IQ4_XS:4096")
TOKENS, MEASURED_TOKENS = 16384, 1024
ROUNDS = 5


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("cases", metavar="TYPE:COLUMNS", nargs="*", default=CASES)
    arguments = parser.parse_args()
    for case in arguments.cases:
        name, _, columns = case.partition(":")
        if name not in ROUNDED_TYPES or not columns.isdecimal() or int(columns) % BLOCK_TYPES[name].block_size:
            parser.error(f"{case} is not one of {', '.join(sorted(ROUNDED_TYPES))}, and a multiple of its block size")
    show(rows(arguments.cases), arguments)


def rows(cases: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each type and number of columns."""
    rng = np.random.default_rng(0)
    for case in cases:
        name, columns = case.split(":")
        inputs = rng.standard_normal((MEASURED_TOKENS, int(columns)), dtype=np.float32)
        weights = rng.standard_normal((ROWS_AT_ONCE, int(columns)), dtype=np.float32)
        yield _row(name, weights, inputs)


def _row(name: str, weights: NDArray[np.float32], inputs: NDArray[np.float32]) -> Row:
    held, curvature = BLOCK_TYPES[name], _curvature(inputs)
    of_tokens = TOKENS / len(inputs)
    scales = (1, of_tokens, of_tokens * len(weights) / inputs.shape[1])
    functions: tuple[Callable[[], object], ...] = (
        lambda: round_rows(weights, held, curvature),
        lambda: inputs @ weights.T,
        lambda: inputs.T @ inputs,
    )
    for function in functions:
        function()  # compiles
    times = [
        [_seconds(function) * scale / weights.size * 1e6 for function, scale in zip(functions, scales, strict=True)]
        for _ in range(ROUNDS)
    ]
    rounding, product, hessian = (median(column) for column in zip(*times, strict=True))
    share = median(mine / (forward + gram) for mine, forward, gram in times)
    return Row(
        what=f"gptq: {name}, {inputs.shape[1]} columns",
        ours=f"{rounding:.2f} s",
        reference=f"{product:.2f} s",
        ratio=ratio(forward / mine for mine, forward, _ in times),
        remark=f"a million weights; beside X W^T of {TOKENS:,} tokens; X^T X {hessian:.2f} s; {share:.0%} of both",
    )


def _curvature(inputs: NDArray[np.float32]) -> Curvature:
    """Return H of made-up inputs, damped as in a run."""
    hessian = inputs.T @ inputs / np.float32(len(inputs))
    hessian[np.diag_indices_from(hessian)] += np.float32(0.1)
    return Curvature(hessian, np.linalg.cholesky(np.linalg.inv(hessian)).astype(np.float32))


def _seconds(function: Callable[[], object]) -> float:
    started = time.thread_time()
    function()
    return time.thread_time() - started


if __name__ == "__main__":
    main()
