"""Whole files of every family that the reference recorded: every tensor, every key, and their order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden.families.case import Case, build
from golden.families.checkpoints import CASES
from golden.families.compact import compare, load
from golden.generate import generated

from quantize_cli import quantize

#: Cases whose quantized files `make test` compares; those of all others `make test-slow` compares.
QUANTIZED = ("Qwen3-MoE-single", "DeepSeek-V3-small", "Gemma3-json")

RECORDS = Path(__file__).parent / "golden" / "families" / "records"
TOKENIZERS = Path(__file__).parents[2] / "shared" / "tokenizers"


def formats_of(case: Case) -> list[str]:
    """The records that are files of ours: SOURCE is the converter's own, in another order."""
    return [name for name in case.formats if name != "SOURCE"]


#: Case -> why the llama.cpp of xllamacpp does not run its files.
DOES_NOT_RUN: dict[str, str] = {
    "Llama-4-in-a-larger-model": "llama.cpp ends at an assertion where every layer rotates",
    "EmbeddingGemma-small": "it embeds text and does not generate any",
    "EmbeddingGemma-odd-rows": "it embeds text and does not generate any",
    "Command-R-plus-small": "llama.cpp looks for norms of queries and keys in 64 layers or more",
}


def is_slow(case: Case, format_name: str) -> bool:
    """Tell whether only `make test-slow` compares the file."""
    return case.slow or (format_name in ("Q4_K_M", "IQ4_XS") and case.recorded_as not in QUANTIZED)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A function: a case and a format -> the file; those that `make test` compares are converted together, once."""
    made: dict[tuple[str, bool], dict[str, Path]] = {}

    def convert(case: Case, format_name: str) -> Path:
        if case.vocabulary.shared and not TOKENIZERS.is_dir():
            pytest.skip("needs ../shared/tokenizers")
        key = case.name, is_slow(case, format_name)
        if key not in made:
            parent = tmp_path_factory.mktemp("case")
            folder = build(case, parent, TOKENIZERS)
            (parent / "out").mkdir()
            options = {
                "pre_tokenizer": case.vocabulary.pre_tokenizer,
                "threads": 2,
                "allow_requantize": case.requantize,
                "no_provenance": True,  # which is ours alone
            }
            names = [name for name in formats_of(case) if is_slow(case, name) == key[1]]
            reports = quantize(folder, names, parent / "out", **options)
            shutil.rmtree(folder)  # hundreds of models take many GB
            made[key] = {report.format: Path(report.output) for report in reports}
        return made[key][format_name]

    return convert


def files() -> Iterator[Any]:
    """All files to compare; `make test` compares those of one type of each quick case."""
    for case in CASES.values():
        for name in formats_of(case):
            marks = [pytest.mark.slow] if is_slow(case, name) else []
            yield pytest.param(case, name, id=f"{case.name}-{name}", marks=marks)


@pytest.mark.parametrize(("case", "format_name"), list(files()))
def test_files_equal_the_references(case, format_name, converted):
    record = load(RECORDS / case.recorded_as / f"{format_name}.jsonl")
    assert compare(converted(case, format_name), record) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES.values() if not case.refusal], ids=lambda case: case.name)
def test_llama_cpp_generates(case, converted):
    if reason := DOES_NOT_RUN.get(case.name):
        pytest.skip(reason)
    assert generated(converted(case, "Q4_K_M")) == 3
