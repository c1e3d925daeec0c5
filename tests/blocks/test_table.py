"""The table of block types: explicit, complete, and loaded one type at a time."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import quantize_cli
from quantize_cli.blocks.table import _MODULES, BLOCK_TYPES
from quantize_cli.gguf_file.types import WRITABLE_TYPES

ROOT = Path(quantize_cli.__file__).parents[1]

LOADED = """
import sys
from quantize_cli.blocks.table import BLOCK_TYPES
assert "Q8_0" in BLOCK_TYPES and len(list(BLOCK_TYPES)) == len(BLOCK_TYPES)
assert "numba" not in sys.modules
BLOCK_TYPES[sys.argv[1]]
print(*{name.split(".")[2] for name in sys.modules if name.startswith("quantize_cli.blocks.")})
"""

THREADS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from quantize_cli.blocks.table import BLOCK_TYPES
barrier = threading.Barrier(len(BLOCK_TYPES))
def load(name):
    barrier.wait(timeout=60)
    return BLOCK_TYPES[name].name
with ThreadPoolExecutor(len(BLOCK_TYPES)) as pool:
    print(*pool.map(load, BLOCK_TYPES))
assert "gguf" not in sys.modules
"""

#: Modules whose kernels step over blocks by constants of their own.
STEPPING = {"few_bits.q1_0", "few_bits.q2_0", "few_bits.tq1_0", "few_bits.tq2_0"}
STEPPING |= {"fp4.mxfp4", "fp4.nvfp4", "legacy.q8_0"}


def printed(code: str, *arguments: str) -> list[str]:
    """The words that a new process prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_every_type_that_can_be_written_is_there_under_its_own_name() -> None:
    assert set(BLOCK_TYPES) == set(WRITABLE_TYPES)
    assert [held.name for held in BLOCK_TYPES.values()] == list(BLOCK_TYPES)


def test_an_unknown_type_is_missing() -> None:
    assert "Q9_K" not in BLOCK_TYPES
    assert BLOCK_TYPES.get("Q9_K") is None


@pytest.mark.parametrize(("name", "rooms"), [("Q8_0", "legacy search"), ("F16", "plain"), ("IQ4_NL", "iq4 search")])
def test_a_type_is_loaded_without_the_others(name: str, rooms: str) -> None:
    assert set(printed(LOADED, name)) == {*rooms.split(), "base", "table"}


def test_threads_may_load_types_at_the_same_time() -> None:
    assert printed(THREADS) == list(BLOCK_TYPES)


def test_the_constants_of_layouts_are_the_table_s() -> None:
    found = set()
    for name, module in _MODULES.items():
        constants = vars(import_module(f"quantize_cli.blocks.{module}"))
        if "BLOCK_BYTES" in constants:
            facts = WRITABLE_TYPES[name]
            assert (constants["BLOCK"], constants["BLOCK_BYTES"]) == (facts.block_size, facts.block_bytes)
            found.add(module)
    assert found == STEPPING
