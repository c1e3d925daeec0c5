"""What the first run of a format costs: the whole command with an empty cache of kernels, and again.

    python bench/cold_start.py [MODEL]

MODEL is a checkpoint folder; by default a tiny one is generated, whose weights take no time, so that what is left is
start and compilation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from _command import PRE_TOKENIZER, generate, quantize
from _machine import head_line

from quantize_cli.mixes import MIXES

WARM_RUNS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", nargs="?", type=Path)
    arguments = parser.parse_args()
    print(head_line())
    print(f"wall time of the whole command in seconds, warm the median of {WARM_RUNS}\n")
    print("| format |  cold |  warm |")
    print("|--------|------:|------:|")
    with tempfile.TemporaryDirectory(prefix="quantize-bench-") as name:
        folder = Path(name)
        model = arguments.model or generate(folder / "model", "tiny")
        for mix in MIXES:
            environment = {"NUMBA_CACHE_DIR": str(folder / f"cache-{mix}")}
            cold, *warm = (
                quantize(model, mix, folder / "output.gguf", *PRE_TOKENIZER, environment=environment).seconds
                for _ in range(1 + WARM_RUNS)
            )
            print(f"| {mix:6} | {cold:5.1f} | {median(warm):5.2f} |", flush=True)


if __name__ == "__main__":
    main()
