"""`quantize formats`: what there is to choose from."""

from __future__ import annotations

import json

import pytest

from quantize_cli.mixes.base import Candidate
from quantize_cli.mixes.rules import choose_types
from quantize_cli.mixes.tables import ALIASES, FORMATS
from quantize_cli.mixes.traits import ModelTraits

LLAMA_CPP = {
    "F16": 16.0005, "Q8_0": 8.5008, "Q6_K": 6.5633, "Q5_K_M": 5.7036, "Q5_K_S": 5.5704, "Q4_K_M": 4.8944,
    "IQ4_NL": 4.6818, "Q4_K_S": 4.6672, "IQ4_XS": 4.4597, "Q3_K_L": 4.2979, "Q3_K_M": 3.9960, "IQ3_M": 3.7628,
    "IQ3_S": 3.6606, "Q3_K_S": 3.6429, "IQ3_XS": 3.4977, "IQ3_XXS": 3.2548, "Q2_K": 3.1593, "Q2_K_S": 2.9697,
    "IQ2_M": 2.9294, "IQ2_S": 2.7403, "IQ2_XS": 2.5882, "IQ2_XXS": 2.3824, "IQ1_M": 2.1460, "IQ1_S": 2.0042,
}  # fmt: skip


@pytest.fixture
def listed(quantize):
    result = quantize("formats", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


def test_every_format_is_listed_from_the_largest_to_the_smallest(listed):
    assert set(listed) == set(FORMATS)
    sizes = [entry["model_bits_per_weight"] for entry in listed.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert {alias: name for name, entry in listed.items() for alias in entry["aliases"]} == ALIASES
    assert all(entry["good_for"] == FORMATS[name].good_for for name, entry in listed.items())


@pytest.mark.parametrize(
    ("name", "type_", "block", "bits"),
    [
        ("F32", "F32", 1, 32),
        ("Q8_0", "Q8_0", 32, 8.5),
        ("Q4_K_M", "Q4_K", 256, 4.5),
        ("IQ1_S", "IQ1_S", 256, 1.5625),
        ("Q1_0", "Q1_0", 128, 1.125),
    ],
)
def test_the_main_types_layout(name, type_, block, bits, listed):
    entry = listed[name]
    assert (entry["type"], entry["block"], entry["bits_per_weight"]) == (type_, block, bits)


def test_bits_per_weight_of_a_whole_model(listed):
    """Those that llama.cpp's tools/quantize/README.md gives for Llama 3.1 8B, whose vectors add a little."""
    for name, bits in LLAMA_CPP.items():
        assert bits - 0.0015 < listed[name]["model_bits_per_weight"] <= bits


def test_an_importance_matrix_is_needed_exactly_where_the_reference_refuses_to_do_without(listed):
    """In a plain Llama: what its rules give each tensor without a matrix, a refusal among them."""
    shapes = {"attn_k": (1024, 4096), "attn_output": (4096, 4096), "attn_q": (4096, 4096), "attn_v": (1024, 4096)}
    shapes |= {"ffn_down": (4096, 14336), "ffn_gate": (14336, 4096), "ffn_up": (14336, 4096)}
    tensors = [Candidate(f"blk.{i}.{name}.weight", shape) for i in range(32) for name, shape in shapes.items()]
    tensors = [Candidate("output.weight", (8, 4096)), Candidate("token_embd.weight", (8, 4096)), *tensors]
    model = ModelTraits.of("llama", 32, 32, 8)
    needed = {
        name for name, mix in FORMATS.items() if any(c.requires_importance for c in choose_types(tensors, mix, model))
    }
    assert {name for name, entry in listed.items() if entry["importance"] == "needed"} == needed
    assert needed == {
        "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S",
    }  # fmt: skip


def test_an_importance_matrix_is_ignored_where_it_changes_no_byte(listed):
    assert {name for name, entry in listed.items() if entry["importance"] == "ignored"} == {
        "F32", "F16", "BF16", "Q8_0", "MXFP4_MOE", "Q2_0", "TQ2_0", "TQ1_0", "Q1_0",
    }  # fmt: skip


def test_people_get_a_table_that_fits_80_columns(listed, quantize, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = quantize("formats")
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    lines, legend = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in legend if line[:1].strip()] == ["bits", "block", "imatrix", "perplexity"]
    assert [line.split()[0].upper() for line in lines[2:] if line[:1].strip()] == [*listed]
