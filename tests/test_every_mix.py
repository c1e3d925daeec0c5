"""Every mix and option against llama-quantize: the records in golden/every_mix, made as its PROVENANCE.md says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from command_line import invoke
from golden.compact import differences, summary
from golden.gguf_sources import BY_NAME, build_everything, hashes, write_model
from golden.record import record

from quantize_cli.cli import console

RECORDS = Path(__file__).resolve().parent / "golden" / "every_mix" / "records"
GROUPS = {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}
CASES = {f"{group}-{name}": case for group, found in GROUPS.items() for name, case in found["cases"].items()}
WRITTEN = [pytest.param(case, id=name) for name, case in CASES.items() if "files" in case]
#: Without a later part of a split model, which stands for the whole model here.
REFUSED = [
    pytest.param(case, id=name)
    for name, case in CASES.items()
    if "refused" in case and "illegal split file idx" not in case["refused"]
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the sources and importance matrices that the cases name."""
    folder = tmp_path_factory.mktemp("inputs")
    build_everything(folder)
    return folder


@pytest.fixture
def here(inputs, monkeypatch):
    """The same as the current folder: paths of importance matrices end in the metadata as they were given.

    The tables of the report, which others test, are not drawn: that takes a third of the time.
    """
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(console, "show", lambda _reports: None)
    return inputs


def quantize(case, output):
    """Run the case's command."""
    options = ("--format", case["format"], *case["options"], "--threads", "1", "--no-provenance", "-o", str(output))
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


@cache
def metadata(path):
    return record(path)["kv"]


def explain(path, case, expected):
    """What differs between the file at `path` and the reference's, a line each."""
    return "\n".join(differences(summary(path, metadata(Path(case["source"]).resolve())), expected))


def test_the_inputs_are_those_that_were_recorded(inputs):
    found = hashes(inputs)
    for group in GROUPS.values():
        assert {name: found.get(name) for name in group["inputs"]} == group["inputs"]


def test_every_case_is_a_file_or_a_refusal():
    assert len(WRITTEN) + len(REFUSED) + 1 == len(CASES)
    assert len(WRITTEN) > 400
    assert len(REFUSED) > 20


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_reference_refuses_is_refused(case, here, tmp_path):
    make_source(case["source"])
    result = quantize(case, tmp_path / "out.gguf")
    assert result.exit_code in (1, 2), f"the reference refuses: {case['refused']}"
    assert result.stderr.splitlines()[-1].startswith("quantize: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", WRITTEN)
def test_the_files_are_the_references(case, here, tmp_path):
    make_source(case["source"])
    result = quantize(case, tmp_path / "out.gguf")
    files = sorted(path.name for path in tmp_path.iterdir())
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
