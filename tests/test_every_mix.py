"""Every mix and option against llama-quantize: the records in golden/every_mix, made as its PROVENANCE.md says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import invoke
from golden.compact import differences, summary
from golden.gguf_sources import BY_NAME, build_everything, hashes, write_model
from golden.record import record

RECORDS = Path(__file__).resolve().parent / "golden" / "every_mix" / "records"
GROUPS = {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}
CASES = [
    pytest.param(case, id=f"{group}-{name}") for group, found in GROUPS.items() for name, case in found["cases"].items()
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the sources and importance matrices that the cases name."""
    folder = tmp_path_factory.mktemp("inputs")
    build_everything(folder)
    return folder


@pytest.fixture
def here(inputs, monkeypatch):
    """The same as the current folder: paths of importance matrices end in the metadata as they were given."""
    monkeypatch.chdir(inputs)
    return inputs


def quantize(case, output):
    """Run the case's command."""
    options = ("--format", case["format"], *case["options"], "--threads", "1", "-o", str(output))
    return invoke(case["source"], *options)


def make_source(source):
    """Make made/CASE.gguf, where the case's source is one: the file of that case of dense-256, which must be right."""
    made = Path(source)
    if made.parent.name != "made":
        return
    case = GROUPS["dense-256"]["cases"][made.stem]
    made.parent.mkdir(exist_ok=True)
    if not made.exists():
        result = quantize(case, made)
        assert result.exit_code == 0, result.stderr
    assert not explain(made, case, case["files"]["out.gguf"]), "the source is not the reference's"


def explain(path, case, expected):
    """What differs between the file at `path` and the reference's, a line each."""
    return "\n".join(differences(summary(path, record(Path(case["source"]))["kv"]), expected))


def test_the_inputs_are_those_that_were_recorded(inputs):
    found = hashes(inputs)
    for group in GROUPS.values():
        assert {name: found.get(name) for name in group["inputs"]} == group["inputs"]


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_the_references(case, here, tmp_path):
    make_source(case["source"])
    result = quantize(case, tmp_path / "out.gguf")
    files = sorted(path.name for path in tmp_path.iterdir())
    if "refused" in case:
        assert result.exit_code in (1, 2), f"the reference refuses: {case['refused']}"
        assert result.stderr.splitlines()[-1].startswith("quantize: ")
        assert files == []
        return
    assert result.exit_code == 0, result.stderr
    assert files == list(case["files"])
    for name, expected in case["files"].items():
        if different := explain(tmp_path / name, case, expected):
            pytest.fail(f"{name} is not the reference's:\n{different}", pytrace=False)


def test_differences_are_named(tmp_path):
    for name in ("one", "other"):
        write_model(BY_NAME["moe-wide"], tmp_path / name)
    one, other = ((tmp_path / name) for name in ("one", "other"))
    kv = record(one)["kv"]
    expected = summary(one, kv)
    assert list(differences(summary(other, kv), expected)) == []
    data = bytearray(other.read_bytes())
    at = data.index(b"moe-wide")
    data[at] ^= 1
    data[len(data) // 2] ^= 1
    other.write_bytes(data)
    metadata, tensor, _ = differences(summary(other, kv), expected)
    assert metadata.startswith("metadata general.name: {'type': 'STRING', 'value': 'loe-wide'}, not absent")
    assert tensor.startswith("tensor blk.0.ffn_up_exps.weight: BF16 ")
