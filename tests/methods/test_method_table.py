"""The table of the methods, and what it says of types."""

from __future__ import annotations

import pytest

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.methods.table import METHODS, ROUNDED_TYPES, costs_with


def test_types_that_are_rounded_are_those_with_a_grid():
    assert {name for name, held in BLOCK_TYPES.items() if held.grid is not None} == ROUNDED_TYPES


def test_names_and_the_default():
    assert all(name == method.name and method.summary for name, method in METHODS.items())
    assert next(iter(METHODS)) == "reference"
    assert [name for name, method in METHODS.items() if method.is_reference] == ["reference"]


def test_costs_fall_where_levels_are_chosen():
    costs = {"Q4_K": 2.0, "IQ2_XXS": 3.0, "Q8_0": 0.0}
    assert costs_with(METHODS["reference"], costs) == costs
    found = costs_with(METHODS["gptq"], costs)
    assert list(found) == list(costs)
    assert found["IQ2_XXS"] == 3.0
    assert 0 < found["Q4_K"] < 2.0
    assert found["Q4_K"] / 2.0 == pytest.approx(costs_with(METHODS["gptq"], {"Q4_K": 1.0})["Q4_K"])
    assert found["Q8_0"] == 0
