"""Write the grids of IQ1, IQ2 and IQ3 as data of the package, from llama.cpp's ggml/src/ggml-common.h.

    python tools/make_grids.py ggml-common.h quantize_cli/blocks/grids

There, a point of a grid is a number whose bytes, the lowest first, are the values of a group of weights. Here it is the
digits of their levels: level l is the l-th of the values that the grid has, from the least on.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

#: File -> table, bytes of its numbers, and how many there are.
TABLES = {
    "iq1_s": ("iq1s_grid", 8, 2048),
    "iq2_xxs": ("iq2xxs_grid", 8, 256),
    "iq2_xs": ("iq2xs_grid", 8, 512),
    "iq2_s": ("iq2s_grid", 8, 1024),
    "iq3_xxs": ("iq3xxs_grid", 4, 256),
    "iq3_s": ("iq3s_grid", 4, 512),
}
LINE = 96  #: digits


def digits(header: str, table: str, size: int, count: int) -> str:
    """Return the points of a table, in order, as lines of text."""
    (body,) = re.findall(rf"GGML_TABLE_BEGIN\(uint{8 * size}_t, {table}, \w+\)(.*?)GGML_TABLE_END", header, re.DOTALL)
    numbers = [int(number, 16) for number in re.findall(r"0x[0-9a-f]+", body)]
    if len(numbers) != count:
        sys.exit(f"{table} has {len(numbers)} numbers; {count} were expected")
    values = np.array(numbers, f"<u{size}").view(np.int8).reshape(count, size)
    levels = np.searchsorted(np.unique(values), values)
    points = ["".join(map(str, point)) for point in levels]
    a_line = LINE // size
    return "".join(" ".join(points[i : i + a_line]) + "\n" for i in range(0, count, a_line))


def main() -> None:
    """Write one file a grid."""
    header, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    for name, (table, size, count) in TABLES.items():
        (folder / f"{name}.txt").write_text(digits(header, table, size, count))


if __name__ == "__main__":
    main()
