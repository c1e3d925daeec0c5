"""`quantize inspect` and `quantize architectures`: what a user sees, and what a script gets."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from checkpoint_factory import PRE_TOKENIZER
from command_line import assert_refused, sentence

from quantize_cli import inspect
from quantize_cli.architectures.catalogue import catalogue
from quantize_cli.architectures.families.table import BASE_CLASSES, FAMILIES
from quantize_cli.mixes.tables import FORMATS

NAMED = ("--pre-tokenizer", PRE_TOKENIZER)


@pytest.fixture
def unknown(own_llama):
    """A model of a class that nobody knows, with a name that would change a terminal."""
    config = json.loads((own_llama / "config.json").read_text())
    (own_llama / "config.json").write_text(json.dumps({**config, "architectures": ["Nobody\u001b[31mLM"]}))
    return own_llama


def test_a_model_on_a_terminal_of_80_columns(quantize, llama, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = quantize("inspect", llama, *NAMED)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny-llama"
    assert "architecture  llama (LlamaForCausalLM)" in lines
    assert "heads         4, 2 for keys and values" in lines
    assert max(map(len, lines)) <= 80 or max(map(len, lines)) == len(f"source        {llama}, 1 file")
    rows = {line.split()[0]: line for line in lines[lines.index("") + 3 :]}
    assert set(rows) == {name.lower() for name in FORMATS}
    assert rows["iq2_xs"].endswith("needs --imatrix")


def test_the_json_is_that_of_the_library(quantize, llama):
    result = quantize("inspect", llama, *NAMED, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json.loads(
        json.dumps(inspect(llama, pre_tokenizer=PRE_TOKENIZER).to_dict(), allow_nan=False)
    )


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_model_that_cannot_be_converted_is_shown_and_the_command_fails(form, quantize, unknown):
    result = quantize("inspect", unknown, *form)
    assert result.exit_code == 1
    assert "cannot convert" in sentence(result.stderr)
    assert "\x1b" not in result.stdout
    if form:
        assert json.loads(result.stdout)["refusal"] == sentence(result.stderr)
    else:
        assert "architecture  Nobody?[31mLM, which is not supported" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("inspect",), 2, "No MODEL is given"),
        (("inspect", "nowhere"), 1, "nowhere does not exist"),
        (("inspect", "one", "two"), 2, "two is one word too many"),
        (("inspect", "one", "-f", "q8_0"), 2, "-f is not an option of inspect; it belongs to quantize MODEL."),
        (("info", "one"), 2, "`quantize inspect MODEL` shows"),
        (("architectures", "--revision", "x"), 2, "--revision is not an option of architectures"),
    ],
)
def test_mistakes(words, code, told, quantize, work):
    (work / "one").mkdir()
    assert_refused(quantize(*words), code, told)


def test_a_folder_that_is_called_like_the_command(quantize, llama, work):
    (work / "inspect").symlink_to(llama)
    assert quantize("inspect", "./inspect", *NAMED).exit_code == 0
    result = quantize("./inspect", "-f", "q8_0", *NAMED, "--dry-run")
    assert result.exit_code == 0
    assert "inspect as Q8_0 (llama)" in result.stdout


def test_the_current_folder_is_inspected_without_a_model(quantize, llama, monkeypatch):
    monkeypatch.chdir(llama)
    assert quantize("inspect", *NAMED).exit_code == 0


def test_every_class_is_listed(quantize):
    result = quantize("architectures", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    listed = json.loads(result.stdout)
    assert listed == json.loads(json.dumps([asdict(facts) for facts in catalogue()]))
    assert {row["class_name"]: row["architecture"] for row in listed} == {
        name: family.architecture for name, family in FAMILIES.items()
    }
    assert {base for row in listed for base in row["base_classes"]} == set(BASE_CLASSES)
    assert [row["models"].lower() for row in listed] == sorted(row["models"].lower() for row in listed)


def test_the_list_names_every_class(quantize, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = quantize("architectures")
    assert result.exit_code == 0
    assert set(FAMILIES) <= {line.split(" ")[0] for line in result.stdout.splitlines()}
