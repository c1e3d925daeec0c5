"""Our kernels against the reference's `ggml_quantize_chunk`: one thread, one process, side by side.

    python bench/kernels.py [TYPE ...] [--library libggml-base.so]

The reference is the build in the `xllamacpp` wheel, or any other with --library. Builds of the same functions differ
in speed (see README.md), so a ratio holds for the build that the table names.

Every round runs ours, then the reference's, each long enough to be timed, on the same 256 rows of 4096 normal
weights and into buffers that were written before. A round gives one ratio; the table gives their median and range.
Times are CPU times of the thread, so that other work on the machine hardly shows. Exits with 1 where a byte differs.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from _machine import head_line
from numpy.typing import NDArray

from quantize_cli.formats import FORMATS
from quantize_cli.formats.base import BlockFormat
from quantize_cli.metrics import SUMS, accumulate
from quantize_cli.pipeline import TILE_WEIGHTS

#: Type -> how many times as fast as the reference it has to be.
REQUIRED = {
    "Q4_K": 5,
    "Q5_K": 5,
    "Q2_K": 5,
    "IQ4_XS": 5,
    "IQ4_NL": 5,
    "Q6_K": 3,
    "Q3_K": 3,
    "Q8_0": 1,
    "Q5_0": 1,
    "Q5_1": 1,
    "Q4_0": 1,
}
ROWS, COLUMNS = 256, 4096
ROUNDS = 11
#: A timing is repeated to take at least this long.
SECONDS = 0.06


class Figures(NamedTuple):
    """What was measured of one type; speeds in million weights a second."""

    ours: float
    reference: float
    ratios: list[float]
    measuring: float  #: dequantize and accumulate the errors, as a run does after quantizing
    equal: bool


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", metavar="TYPE", nargs="*", help="default: all")
    parser.add_argument("--library", type=Path, metavar="FILE", help="another build of the reference's ggml library")
    arguments = parser.parse_args()
    if unknown := set(arguments.types) - set(REQUIRED):
        parser.error(f"unknown types {', '.join(sorted(unknown))}; there are {', '.join(REQUIRED)}")
    path = arguments.library or _wheel()
    library = _load(path)
    print(head_line())
    print(f"reference: {path}")
    print(f"one thread, {ROWS} rows of {COLUMNS}, million weights a second (median of {ROUNDS} rounds)\n")
    print("| type   |   ours | reference | ratio (min-max)     | required |       | dequantize + measure | bytes     |")
    print("|--------|-------:|----------:|---------------------|---------:|-------|---------------------:|-----------|")
    rows = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    all_equal = True
    for name in arguments.types or REQUIRED:
        required = REQUIRED[name]
        figures = _measure(FORMATS[name], rows, library)
        all_equal &= figures.equal
        ratio = median(figures.ratios)
        span = f"{ratio:.2f} ({min(figures.ratios):.2f}-{max(figures.ratios):.2f})"
        print(
            f"| {name:6} | {figures.ours:6.1f} | {figures.reference:9.1f} | {span:19} | {required:8} "
            f"| {'ok' if ratio >= required else 'short':5} | {figures.measuring:20.0f} "
            f"| {'equal' if figures.equal else 'DIFFERENT':9} |",
            flush=True,
        )
    sys.exit(not all_equal)


def _measure(block_format: BlockFormat, rows: NDArray[np.float32], library: ctypes.CDLL) -> Figures:
    shape = (ROWS, block_format.row_bytes(COLUMNS))
    packed = np.full(shape, 255, np.uint8)
    expected = np.zeros(shape, np.uint8)
    decoded = np.ones((TILE_WEIGHTS // COLUMNS, COLUMNS), np.float32)
    sums = np.ones((ROWS, SUMS))
    type_ = int(block_format.type)
    library.ggml_quantize_init(type_)

    def ours() -> None:
        block_format.quantize(rows, packed)

    def reference() -> None:
        library.ggml_quantize_chunk(type_, rows.ctypes.data, expected.ctypes.data, 0, ROWS, COLUMNS, None)

    def measuring() -> None:
        for start in range(0, ROWS, len(decoded)):
            tile = slice(start, start + len(decoded))
            block_format.dequantize(packed[tile], decoded)
            accumulate(rows[tile], decoded, sums[tile])

    ours()  # compiles
    reference()
    measuring()
    equal = np.array_equal(packed, expected)
    repeats = [_repeats(function) for function in (ours, reference, measuring)]
    times = [
        [_seconds(function, count) for function, count in zip((ours, reference, measuring), repeats, strict=True)]
        for _ in range(ROUNDS)
    ]
    speeds = [rows.size / median(column) / 1e6 for column in zip(*times, strict=True)]
    return Figures(speeds[0], speeds[1], [theirs / mine for mine, theirs, _ in times], speeds[2], equal)


def _repeats(function: Callable[[], None]) -> int:
    return max(1, round(SECONDS / min(_seconds(function, 1) for _ in range(3))))


def _seconds(function: Callable[[], None], repeats: int) -> float:
    """CPU seconds of one call."""
    started = time.thread_time()
    for _ in range(repeats):
        function()
    return (time.thread_time() - started) / repeats


def _wheel() -> Path:
    """The extension module of `xllamacpp`, which exports the reference's C functions."""
    spec = find_spec("xllamacpp")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The reference's kernels are missing: pip install xllamacpp==2026.10.11549")
    (extension,) = Path(spec.submodule_search_locations[0]).glob("xllamacpp*.so")
    return extension


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return library


if __name__ == "__main__":
    main()
