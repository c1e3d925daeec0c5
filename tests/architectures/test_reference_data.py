"""The data files of the package: made from the facts about the reference, and in accord with its files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import quantize_cli

ROOT = Path(__file__).parents[2]
PACKAGE = Path(quantize_cli.__file__).parent
REFERENCE = ROOT.parent / "shared" / "reference"
CONVERTED = sorted((ROOT / "tests" / "architectures" / "golden").glob("*.json"))


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference_data", ROOT / "tools" / "make_reference_data.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


def data(path: str) -> dict[str, Any]:
    return json.loads((PACKAGE / path).read_text(encoding="utf-8"))


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"{REFERENCE} is not here")
def test_the_tool_makes_the_same_bytes() -> None:
    made = TOOL.files(REFERENCE)
    assert made.keys() == TOOL.FILES.keys()
    assert {path: (PACKAGE / path).read_bytes() == content for path, content in made.items()} == dict.fromkeys(
        made, True
    )


@pytest.mark.parametrize("path", TOOL.FILES)
def test_a_file_says_what_it_was_made_from(path: str) -> None:
    content = data(path)
    assert next(iter(content)) == "source"
    assert content["source"].startswith("llama.cpp 0c1e570, transformers 5.23.0")


def test_the_files_stay_small() -> None:
    assert sum((PACKAGE / path).stat().st_size for path in TOOL.FILES) < 320_000


def test_keys_have_the_types_that_the_converter_writes() -> None:
    types = data("gguf_file/data/keys.json")["keys"]
    seen = set()
    for path in CONVERTED:
        metadata = json.loads(path.read_text())["reference"]["metadata"]
        architecture = metadata[0][2]
        for key, value_type, *_ in metadata:
            template = re.sub(r"\.[0-9]+\.", ".{id}.", key.replace(f"{architecture}.", "{arch}.", 1))
            accepted = {name.partition("[")[0] for name in types[template].split()}
            assert value_type in accepted, (path.name, key, value_type)
            seen.add(template)
    assert len(seen) > 30


def test_names_of_f32_kinds_are_those_of_the_kinds() -> None:
    kinds = data("architectures/data/names.json")["kinds"]
    rules = data("architectures/data/stored_types.json")
    for listed in (rules["always_f32"]["kinds"], rules["f16_with_ternary_outtypes"]):
        assert listed
        assert {kind: kinds[kind][0] for kind in listed} == listed


def test_every_hash_of_a_pre_tokenizer_has_a_name() -> None:
    content = data("tokenizers/data/pre_tokenizers.json")
    assert len(content["hashes"]) == 95
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in content["hashes"])
    unknown = set(content["hashes"].values()) - content["names"].keys()
    assert unknown <= {"minerva-7b", "mpt-7b"}, unknown
