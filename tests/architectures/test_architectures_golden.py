"""Descriptions against what the reference converter recorded (see golden/PROVENANCE.md)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quantize_cli.architectures.describe import describe

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


def test_there_are_golden_files():
    assert len(GOLDEN) > 50


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_description_equals_the_references(path, make_checkpoint):
    record = json.loads(path.read_text())
    description = describe(make_checkpoint(**record))

    metadata = [
        [
            field.key,
            field.type.name,
            float(np.float32(field.value))
            if field.type.name == "FLOAT32"
            else list(field.value)
            if field.type.name == "ARRAY"
            else field.value,
        ]
        for field in description.metadata
    ]
    assert metadata == record["reference"]["metadata"]
    assert [[recipe.name, list(recipe.shape)] for recipe in description.recipes] == record["reference"]["tensors"]

    computed = [recipe for recipe in description.recipes if recipe.values is not None]
    assert [list(recipe.values) for recipe in computed] == (
        [record["reference"]["rope_freqs"]] if record["reference"]["rope_freqs"] else []
    )
    assert all(recipe.sources or recipe.values for recipe in description.recipes)
