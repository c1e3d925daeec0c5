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

LOADED = """
import sys
from quantize_cli.blocks.table import BLOCK_TYPES
assert "Q8_0" in BLOCK_TYPES and len(list(BLOCK_TYPES)) == len(BLOCK_TYPES)
assert "numba" not in sys.modules
BLOCK_TYPES[sys.argv[1]]
print(*{name.split(".")[2] for name in sys.modules if name.startswith("quantize_cli.blocks.")})
"""

#: Modules whose kernels step over blocks by constants of their own.
STEPPING = {"few_bits.q1_0", "few_bits.q2_0", "few_bits.tq1_0", "few_bits.tq2_0"}
STEPPING |= {"fp4.mxfp4", "fp4.nvfp4", "legacy.q8_0"}


def test_every_type_that_can_be_written_is_there_under_its_own_name() -> None:
    assert set(BLOCK_TYPES) == set(WRITABLE_TYPES)
    assert [held.name for held in BLOCK_TYPES.values()] == list(BLOCK_TYPES)


def test_an_unknown_type_is_missing() -> None:
    assert "Q9_K" not in BLOCK_TYPES
    assert BLOCK_TYPES.get("Q9_K") is None


@pytest.mark.parametrize(("name", "rooms"), [("Q8_0", "legacy search"), ("F16", "plain"), ("IQ4_NL", "iq4 search")])
def test_a_type_is_loaded_without_the_others(name: str, rooms: str) -> None:
    root = Path(quantize_cli.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", LOADED, name], cwd=root, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {*rooms.split(), "base", "table"}


def test_the_constants_of_layouts_are_the_table_s() -> None:
    found = set()
    for name, module in _MODULES.items():
        constants = vars(import_module(f"quantize_cli.blocks.{module}"))
        if "BLOCK_BYTES" in constants:
            facts = WRITABLE_TYPES[name]
            assert (constants["BLOCK"], constants["BLOCK_BYTES"]) == (facts.block_size, facts.block_bytes)
            found.add(module)
    assert found == STEPPING
