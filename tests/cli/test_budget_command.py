"""The options of a budget on the command line: what is shown, what is written, and what is refused."""

from __future__ import annotations

import json

import pytest
from calibration_factory import calibration_of, write
from checkpoint_factory import PRE_TOKENIZER
from command_line import assert_refused, invoke, sentence

PRE = ("--pre-tokenizer", PRE_TOKENIZER)


@pytest.fixture(scope="module")
def measured(llama, tmp_path_factory):
    calibration = calibration_of(llama, pre_tokenizer=PRE_TOKENIZER)
    return write(calibration, tmp_path_factory.mktemp("measured") / "calibration.gguf")


def test_a_plan_tells_what_the_bytes_buy(llama, measured, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = invoke("plan", llama, "--target-size", "900k", "--calibration", measured, *PRE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "nats a token" in result.stdout
    assert "types chosen for --target-size 900k, at most 900,000 bytes; " in result.stdout
    kinds = [line.split()[0] for line in result.stdout.splitlines()[4:] if line.startswith(("blk", "output", "token"))]
    assert kinds == sorted(kinds)
    each = invoke("plan", llama, "--target-size", "900k", "--calibration", measured, "--tensors", *PRE)
    assert " nats for 1" in each.stdout


def test_a_plan_without_a_calibration_says_that_it_is_weaker(llama):
    result = invoke(llama, "--like", "q3_k_m", "--dry-run", *PRE)
    assert result.exit_code == 0
    assert "types chosen for --like q3_k_m" in result.stdout
    assert "does not know this model" in result.stderr


def test_the_types_are_written_beside_a_plan(llama, measured, tmp_path):
    types = tmp_path / "types.txt"
    said = ("plan", llama, "--target-bpw", "4", "--calibration", measured, "--write-tensor-types", types, "--json")
    result = invoke(*said, *PRE)
    assert result.exit_code == 0
    (plan,) = json.loads(result.stdout)["plans"]
    chosen = {t["name"]: t["type"].lower() for f in plan["files"] for t in f["tensors"] if t["cost"] is not None}
    assert types.read_text().splitlines() == [f"^{name.replace('.', chr(92) + '.')}$={chosen[name]}" for name in chosen]
    assert_refused(invoke(*said, *PRE), 1, "exists")


def test_a_run_names_the_file_by_its_bits(llama, measured, tmp_path):
    said = (
        llama,
        "--target-bpw",
        "6",
        "--types",
        "q8_0,q4_0",
        "--calibration",
        measured,
        "-o",
        f"{tmp_path}/",
        "-t",
        "1",
    )
    result = invoke(*said, *PRE)
    assert result.exit_code == 0
    (file,) = tmp_path.glob("*.gguf")
    assert file.name.startswith("tiny-llama-5.")
    assert file.name.endswith("BPW.gguf")
    assert "chosen for --target-bpw 6, " in result.stderr


def test_a_budget_comes_before_the_formats_of_a_file(llama, tmp_path):
    config = tmp_path / "quantize.toml"
    config.write_text(f'models = ["{llama}"]\nformats = ["q8_0"]\npre-tokenizer = "{PRE_TOKENIZER}"\n')
    result = invoke("--config", config, "--target-bpw", "4", "--dry-run")
    assert result.exit_code == 0
    assert "tiny-llama as 3.9" in result.stdout
    assert "types chosen for --target-bpw 4" in result.stdout


@pytest.mark.parametrize(
    ("said", "code", "says"),
    [
        (("-f", "q4_k_m", "--target-size", "1M"), 2, "--target-size takes the place of a format; leave Q4_K_M out"),
        (("--target-size", "1M", "--target-bpw", "3"), 2, "--target-size and --target-bpw cannot be combined"),
        (("-f", "q8_0", "--context", "64"), 2, "--context counts for --memory alone"),
        (("-f", "q8_0", "-f", "q4_0", "--write-tensor-types", "types.txt"), 2, "takes the types of one format"),
        (("--target-size", "1M", "--calibration", "none.gguf"), 1, "The calibration none.gguf does not exist"),
    ],
)
def test_what_cannot_be(said, code, says, llama, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(llama, *said, *PRE)
    assert result.exit_code == code
    assert says in sentence(result.stderr)
    assert list(tmp_path.iterdir()) == []
