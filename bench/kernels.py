"""Our kernels against the reference's `ggml_quantize_chunk`: one thread, one process, side by side.

    python bench/kernels.py [TYPE ...] [--library libggml-base.so]

The reference is the build in the `xllamacpp` wheel, or any other with --library. Builds of the same functions differ
in speed (see README.md), so a ratio holds for the build that the remark names.

Every round runs ours, then the reference's, each long enough to be timed, on the same 256 rows of 4096 normal
weights and into buffers that were written before. A round gives one ratio; the table gives their median and range.
Times are CPU times of the thread, so that other work on the machine hardly shows. Where nothing is searched, the remark
says which share of the speed of a plain copy of the weights is reached. Exits with 1 where a byte differs.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import _table
import numpy as np
from _table import Row, ratio, show
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.gguf_file.types import UseOfImportance

#: How many times as fast as the reference every type has to be.
ALL = 4.0
#: Type -> what is asked of it without and with importance, where that is not `ALL`.
ASKED: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("F32", "F16", "BF16"), (1.0, 1.0)),  # a copy of memory, or little more
    **dict.fromkeys(("Q2_K", "Q4_K", "Q5_K", "IQ4_XS", "IQ4_NL"), (5.0, 5.0)),
    "Q6_K": (10.0, ALL),
    "Q3_K": (6.0, ALL),
    **dict.fromkeys(("IQ2_S", "IQ2_XXS"), (5.0, 5.0)),
}
#: Types whose speed without importance is told beside that of a copy, because they do not search.
NO_SEARCH = (
    *("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "MXFP4", "NVFP4"),
    *("Q2_0", "TQ2_0", "TQ1_0", "Q1_0"),
)
ROWS, COLUMNS = 256, 4096
ROUNDS = 11
#: A timing is repeated to take at least this long.
SECONDS = 0.05


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("types", metavar="TYPE", nargs="*", help="default: all")
    parser.add_argument("--library", type=Path, metavar="FILE", help="another build of the reference's ggml library")
    arguments = parser.parse_args()
    if unknown := set(arguments.types) - set(BLOCK_TYPES):
        parser.error(f"unknown types {', '.join(sorted(unknown))}; there are {', '.join(BLOCK_TYPES)}")
    show(rows(arguments.types or list(BLOCK_TYPES), arguments.library), arguments)


def rows(types: Sequence[str], path: Path | None = None) -> Iterator[Row]:
    """Yield a row for each type without importance, and one with importance if it makes a difference."""
    path = path or _wheel()
    library = _load(path)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    importance = rng.standard_normal(COLUMNS, dtype=np.float32) ** 2
    copy = _copy_speed(weights)
    for name in types:
        held = BLOCK_TYPES[name]
        if held.importance is not UseOfImportance.REQUIRED:
            yield _row(held, weights, None, library, copy)
        if held.importance is not UseOfImportance.NONE:
            yield _row(held, weights, importance, library, copy)


def _row(
    held: BlockType,
    weights: NDArray[np.float32],
    importance: NDArray[np.float32] | None,
    library: ctypes.CDLL,
    copy: float,
) -> Row:
    shape = (ROWS, held.row_bytes(COLUMNS))
    packed = np.full(shape, 255, np.uint8)
    expected = np.zeros(shape, np.uint8)
    number = held.facts.number
    library.ggml_quantize_init(number)
    pointer = None if importance is None else importance.ctypes.data

    def ours() -> None:
        held.quantize(weights, packed, importance)

    def reference() -> None:
        library.ggml_quantize_chunk(number, weights.ctypes.data, expected.ctypes.data, 0, ROWS, COLUMNS, pointer)

    ours()  # compiles
    reference()
    equal = np.array_equal(packed, expected)
    repeats = [_repeats(function) for function in (ours, reference)]
    times = [
        [_seconds(function, count) for function, count in zip((ours, reference), repeats, strict=True)]
        for _ in range(ROUNDS)
    ]
    ratios = [theirs / mine for mine, theirs in times]
    speeds = [weights.size / median(column) / 1e6 for column in zip(*times, strict=True)]
    asked = ASKED.get(held.name, (ALL, ALL))[importance is not None]
    share = f"{speeds[0] / copy:.0%} of a copy; " if importance is None and held.name in NO_SEARCH else ""
    return Row(
        what=f"{held.name} {'with imatrix' if importance is not None else ''}".strip(),
        ours=f"{speeds[0]:.1f} M/s",
        reference=f"{speeds[1]:.1f} M/s",
        ratio=ratio(ratios),
        asked=f"{asked:g}",
        kept=median(ratios) >= asked,
        remark=share + ("bytes equal" if equal else "bytes DIFFER"),
        right=equal,
    )


def _copy_speed(weights: NDArray[np.float32]) -> float:
    """Measure a plain copy of float32, in million weights a second."""
    target = np.zeros_like(weights)

    def copy() -> None:
        np.copyto(target, weights)

    repeats = _repeats(copy)
    return weights.size / median(_seconds(copy, repeats) for _ in range(ROUNDS)) / 1e6


def _repeats(function: Callable[[], None]) -> int:
    return max(1, round(SECONDS / min(_seconds(function, 1) for _ in range(3))))


def _seconds(function: Callable[[], None], repeats: int) -> float:
    """Measure one call in CPU seconds."""
    started = time.thread_time()
    for _ in range(repeats):
        function()
    return (time.thread_time() - started) / repeats


def _wheel() -> Path:
    """Find the extension module of `xllamacpp`, which exports the reference's C functions."""
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
