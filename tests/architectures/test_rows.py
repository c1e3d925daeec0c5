"""Metadata rows: the types that GGUF has for their keys, and what they make of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import quantize_cli
from quantize_cli.architectures.config import Config
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY, BOOL, F32, STR, U32, fields_of, unless_zero
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field, ValueType, merged

KEYS = json.loads((Path(quantize_cli.__file__).parent / "gguf_file" / "data" / "keys.json").read_text())["keys"]
ROWS = {(row.key, row.type, row.is_array) for family in FAMILIES.values() for row in family.metadata}


def model_of(**values) -> Model:
    return Model("tiny", "llama", Config("config.json", values), sidecars=None, infos={})


def test_there_are_rows_of_every_kind():
    assert len(ROWS) >= 50
    assert {kind for _, kind, is_array in ROWS if not is_array} == {
        ValueType.UINT32,
        ValueType.FLOAT32,
        ValueType.BOOL,
        ValueType.STRING,
    }


@pytest.mark.parametrize(("key", "kind", "is_array"), sorted(ROWS))
def test_keys_have_the_types_that_the_reference_writes(key, kind, is_array):
    named = key.startswith("tokenizer.chat_template.")
    written = KEYS["tokenizer.chat_template.{name}" if named else key].split()
    assert {f"ARRAY[{kind.name}]", "ARRAY"}.intersection(written) if is_array else kind.name in written


def test_the_first_name_that_is_present_counts():
    row = U32("{arch}.context_length", "max_position_embeddings", "n_ctx")
    assert row.field(model_of(n_ctx=7)) == Field("llama.context_length", ValueType.UINT32, 7)
    assert row.field(model_of(n_ctx=7, max_position_embeddings=9)) == Field("llama.context_length", ValueType.UINT32, 9)
    assert row.field(model_of()) is None
    assert row.field(model_of(max_position_embeddings=None, n_ctx=7)) is None


def test_truth_is_a_number_as_the_reference_writes_it():
    assert U32("k", "a").field(model_of(a=False)) == Field("k", ValueType.UINT32, 0)
    assert F32("k", "a").field(model_of(a=True)) == Field("k", ValueType.FLOAT32, 1)


def test_a_value_is_a_default_or_a_function_of_the_model():
    assert U32("k", "a", value=3).field(model_of()) == Field("k", ValueType.UINT32, 3)
    assert U32("k", "a", value=3).field(model_of(a=5)) == Field("k", ValueType.UINT32, 5)
    assert U32("k", value=lambda model: model.config.required("a") + 1).field(model_of(a=5)) == Field(
        "k", ValueType.UINT32, 6
    )
    assert F32("k", value=unless_zero("a")).field(model_of(a=0)) is None
    assert ARRAY(ValueType.INT32, "k", value=lambda _: [1, 2]).field(model_of()) == Field(
        "k", ValueType.ARRAY, (1, 2), ValueType.INT32
    )


def test_a_later_row_has_the_earlier_rows_place():
    rows = (U32("a", value=1), U32("b", value=2), U32("a", value=3))
    assert [(field.key, field.value) for field in merged(fields_of(rows, model_of()))] == [("a", 3), ("b", 2)]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (U32("k", "a"), -1),
        (U32("k", "a"), 2**32),
        (U32("k", "a"), 1.5),
        (U32("k", "a"), "1"),
        (U32("k", "a"), [1]),
        (F32("k", "a"), float("inf")),
        (F32("k", "a"), float("nan")),
        (F32("k", "a"), 1e300),
        (F32("k", "a"), 10**400),
        (F32("k", "a"), {}),
        (BOOL("k", "a"), 1),
        (STR("k", "a"), 1),
        (STR("k", "a"), "\ud800"),
        (ARRAY(ValueType.INT32, "k", "a"), 3),
        (ARRAY(ValueType.INT32, "k", "a"), [2**31]),
        (ARRAY(ValueType.INT32, "k", "a"), [None]),
    ],
)
def test_a_value_that_does_not_fit_is_named(row, value):
    with pytest.raises(
        CheckpointError,
        match=r"^config\.json gives a as a value that GGUF cannot hold \(k is .*\); download it again\.$",
    ):
        row.field(model_of(a=value))
