"""Several models in one call: as words, from standard input and from quantize.toml; and what is told of them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from command_line import USUAL, sentence, started
from hypothesis import given
from hypothesis import strategies as st

from quantize_cli.errors import UsageError
from quantize_cli.keywords import Keywords
from quantize_cli.report.model import Report
from quantize_cli.report.usage import llama_command
from quantize_cli.tasks import read_tasks

GGUF = ["tiny-a-Q8_0.gguf", "tiny-b-Q8_0.gguf"]


@pytest.fixture
def models(llama, work) -> Path:
    """Two models in the current folder, and a folder that is not one."""
    for name in ("tiny-a", "tiny-b"):
        shutil.copytree(llama, work / name)
    (work / "empty").mkdir()
    return work


def ggufs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.gguf"))


# As words.


def test_models_stand_behind_each_other(quantize, models):
    result = quantize("tiny-a", "tiny-b", *USUAL, "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert ggufs(models / "out") == GGUF
    assert "[2/2] tiny-b" in result.stderr
    assert result.stderr.splitlines()[-1] == "2 of 2 models are complete."
    assert result.stdout == ""


def test_llama_quantize_order_takes_several_too_but_its_output_stays_one(quantize, models):
    assert quantize("tiny-a", "tiny-b", "q8_0", *USUAL[2:]).exit_code == 0
    assert ggufs(models) == GGUF
    assert quantize("tiny-a", "tiny-b-Q8_0.gguf", "q8_0", "--force", *USUAL[2:]).exit_code == 0
    assert (models / "tiny-b-Q8_0.gguf").read_bytes() == (models / "tiny-a-Q8_0.gguf").read_bytes()


def test_one_that_fails_does_not_stop_the_others(quantize, models):
    result = quantize("empty", "tiny-b", *USUAL)
    assert result.exit_code == 1
    assert ggufs(models) == GGUF[1:]
    lines = result.stderr.splitlines()
    assert sum(line.startswith("quantize: empty: ") for line in lines) == 1
    assert lines[-1] == "1 of 2 models are complete."
    assert any(line.startswith("tiny-b ") and "Q8_0" in line and "tiny-b-Q8_0.gguf" in line for line in lines)


def test_the_exit_code_is_that_of_all_that_failed(quantize, models):
    failing = ("tiny-a", "tiny-b", *USUAL, "--max-size", "1")
    assert quantize(*failing).exit_code == 3
    assert quantize("empty", *failing).exit_code == 1
    assert ggufs(models) == []


def test_an_error_of_the_package_itself_does_not_stop_the_others_either(quantize, models, monkeypatch):
    def fails(model, *_arguments, **_options):
        raise ValueError(f"of {model}")

    monkeypatch.setattr("quantize_cli.api.quantize", fails)
    result = quantize("tiny-a", "tiny-b", *USUAL)
    assert result.exit_code == 1
    assert result.stderr.count("An unexpected error ended") == 4  # each as it ends, and in the table


def test_a_signal_ends_all(quantize, models, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("quantize_cli.api.quantize", interrupted)
    result = quantize("tiny-a", "tiny-b", *USUAL)
    assert result.exit_code == 130
    assert "[2/2]" not in result.stderr


def test_models_of_one_name_do_not_replace_each_other(quantize, models):
    (models / "other").mkdir()
    shutil.copytree(models / "tiny-a", models / "other" / "tiny-a")
    result = quantize("tiny-a", "other/tiny-a", *USUAL, "--force")
    assert result.exit_code == 2
    assert "is the output of another model of this command" in result.stderr
    assert ggufs(models) == GGUF[:1]


# From standard input.


def test_models_come_one_a_line(models):
    process = started("-", *USUAL, "--json", "--quiet", stdin=subprocess.PIPE)
    out, err = process.communicate(b"tiny-a\n\n  tiny-b  \r\n")
    assert process.returncode == 0, err
    assert err == b""
    assert [json.loads(line)["model"] for line in out.splitlines()] == ["tiny-a", "tiny-b"]
    assert ggufs(models) == GGUF


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "does not name any model"),
        (b" \n\n", "does not name any model"),
        (b"GGUF\0\0\0", "is not a list of models"),
        (b"x\n" * (1 << 20), "is not a list of models"),
    ],
)
def test_what_is_not_a_list_is_refused(text, says, quantize, models, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    result = quantize("-", *USUAL)
    assert result.exit_code == 2
    assert says in sentence(result.stderr)


@pytest.mark.parametrize("stdin", [None, SimpleNamespace(isatty=lambda: True)])
def test_a_terminal_is_not_waited_for(stdin, quantize, models, monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert "nothing is piped into it" in sentence(quantize("-", *USUAL).stderr)


# What is told.


def test_json_is_one_line_a_file_and_quiet_says_nothing(quantize, models):
    result = quantize("tiny-a", *USUAL, "-f", "bf16", "--json", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [report["format"] for report in reports] == ["Q8_0", "BF16"]
    for report in reports:
        (file,) = report["files"]
        assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_quiet_still_tells_errors(quantize, models):
    result = quantize("empty", *USUAL, "--quiet")
    assert result.exit_code == 1
    assert sentence(result.stderr) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_kept_files_of_a_failed_gate_are_reported(quantize, models):
    result = quantize("tiny-a", *USUAL, "--max-size", "1", "--keep-failed", "--json", "--checksums", "SUMS")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["gates"][0]["passed"] is False
    assert "gate       Q8_0 failed --max-size 1 bytes (" in result.stderr
    assert sentence(result.stderr).endswith("the files are kept.")
    assert (models / "SUMS").read_text().endswith("  tiny-a-Q8_0.gguf\n")
    assert ggufs(models) == GGUF[:1]


def test_sums_and_uses_follow_the_report(quantize, models):
    result = quantize("tiny-a", *USUAL, "-o", "my model.gguf", "--modelfile")
    digest = hashlib.sha256((models / "my model.gguf").read_bytes()).hexdigest()
    assert result.stderr.splitlines()[-3:] == [
        f"sha256     {digest}",
        "use it     llama-cli -m 'my model.gguf'",
        "use it     ollama create 'my model' -f 'my model.Modelfile'",
    ]
    assert (models / "my model.Modelfile").read_text() == "FROM ./my model.gguf\n"


def test_a_modelfile_is_not_overwritten_unasked(quantize, models):
    (models / "tiny-a-Q8_0.Modelfile").write_text("mine")
    result = quantize("tiny-a", *USUAL, "--modelfile")
    assert result.exit_code == 1
    assert "tiny-a-Q8_0.Modelfile exists; " in sentence(result.stderr)
    assert (models / "tiny-a-Q8_0.Modelfile").read_text() == "mine"
    assert ggufs(models) == []  # it is told before the run
    assert quantize("tiny-a", *USUAL, "--modelfile", "--force").exit_code == 0
    assert (models / "tiny-a-Q8_0.Modelfile").read_text() == "FROM ./tiny-a-Q8_0.gguf\n"


def test_a_modelfile_is_for_one_file(quantize, models):
    result = quantize("tiny-a", *USUAL, "--modelfile", "--split-max-size", "1M")
    assert result.exit_code == 2
    assert "A Modelfile names one GGUF file" in sentence(result.stderr)
    assert ggufs(models) == []


@pytest.mark.parametrize(
    ("architecture", "command"),
    [("llama", "llama-cli -m x.gguf"), ("bert", "llama-embedding -m x.gguf -p TEXT"), ("clip", "--mmproj x.gguf")],
)
def test_the_command_is_that_of_the_architecture(architecture, command):
    assert command in str(llama_command(cast("Report", SimpleNamespace(output="x.gguf", architecture=architecture))))
    assert llama_command(cast("Report", SimpleNamespace(output="-", architecture=architecture))) is None


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_checksums_are_those_that_sha256sum_reads(quantize, models):
    shutil.move(models / "tiny-b", models / "back\\slash")
    result = quantize("tiny-a", "back\\slash", *USUAL, "-f", "bf16", "-o", "out/", "--checksums", "SUMS")
    assert result.exit_code == 0, result.stderr
    checked = subprocess.run(["sha256sum", "-c", "SUMS"], cwd=models, capture_output=True, text=True, check=True)
    assert checked.stdout.count(": OK\n") == 4
    assert quantize("tiny-a", *USUAL, "-o", "new/", "--checksums", "new/SUMS").exit_code == 0
    assert (models / "new" / "SUMS").read_text().endswith("  tiny-a-Q8_0.gguf\n")
    assert quantize("tiny-a", *USUAL, "--checksums", "SUMS").exit_code == 1  # it exists
    assert quantize("tiny-a", *USUAL, "--checksums", "SUMS", "--force").exit_code == 0
    assert (models / "SUMS").read_text().endswith("  tiny-a-Q8_0.gguf\n")


# quantize.toml


TOML = """
models = ["tiny-a", { model = "tiny-b", formats = "bf16", output = "b.gguf", gates = { max-rmse = 0.5 } }, "org/name"]
formats = ["q8_0"]
output = "out"
pre-tokenizer = "gpt-2"
threads = 1

[tensor-types]
"attn_v" = "f16"
"attn" = "q5_0"

[override-kv]
"general.name" = "Mine"

[gates]
max-size = "1GiB"
max-rmse = { attn_v = "1%" }
"""


def test_a_file_of_tasks(models):
    (models / "sub").mkdir()
    shutil.move(models / "tiny-a", models / "sub" / "tiny-a")
    (models / "sub" / "quantize.toml").write_text(TOML)
    first, second, third = read_tasks(Path("sub/quantize.toml"))
    assert (first.model, first.formats, first.output) == (Path("sub/tiny-a"), ("q8_0",), "sub/out/")
    assert first.options == {
        "pre_tokenizer": "gpt-2",
        "threads": 1,
        "tensor_types": {"attn_v": "f16", "attn": "q5_0"},
        "override_kv": {"general.name": "Mine"},
        "max_size": "1GiB",
        "max_rmse": {"attn_v": "1%"},
    }
    assert (second.model, second.formats, second.output) == ("tiny-b", ("bf16",), "sub/b.gguf")
    assert second.options == {**first.options, "max_rmse": 0.5}
    assert third.model == "org/name"


def test_a_file_of_tasks_is_done_and_the_command_line_comes_first(quantize, models):
    (models / "quantize.toml").write_text(TOML.replace(', "org/name"', ""))
    result = quantize("--config", "quantize.toml", "--json")
    assert result.exit_code == 0, result.stderr
    first, _ = map(json.loads, result.stdout.splitlines())
    assert {t["name"]: t["type"] for t in first["tensors"]}["blk.0.attn_v.weight"] == "F16"
    assert len(first["gates"]) == 2
    assert (models / "out" / GGUF[0]).is_file()
    assert (models / "b.gguf").is_file()
    result = quantize(
        "--config", "quantize.toml", "-f", "bf16,q8_0", "-o", "there", "--tensor-type", "attn_v=q8_0", "--quiet"
    )
    assert result.exit_code == 0, result.stderr
    assert len(ggufs(models / "there")) == 4


PIECES = [
    "models",
    "formats",
    "gates",
    "max-rmse",
    "a",
    "=",
    ".",
    "[",
    "]",
    "{",
    "}",
    "'x'",
    ",",
    "1",
    "\n",
    "[gates]\n",
]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not list its models"),
        ("models = []", "does not list its models"),
        ("models = 'x'", "does not list its models"),
        ("models = [1]", "entry 1, does not name a model"),
        ("models = [{formats = 'q8_0'}]", "entry 1, does not name a model"),
        ("models = ['x']", "gives no format for 'x'"),
        ("models = ['x']\nformats = []", "formats takes a list of names"),
        ("models = ['x']\nformat = 'q8_0'", "'format' is not a key; the nearest is formats"),
        ("models = ['x']\nzzz = 1", "'zzz' is not a key; known are "),
        (
            "models = [{model = 'x', tensor_type = {}}]",
            "entry 1: 'tensor_type' is not a key; the nearest is tensor-types",
        ),
        ("models = ['x']\nformats = 'q8_0'\nforce = 'yes'", "force does not take 'yes'"),
        ("models = ['x']\nformats = 'q8_0'\nthreads = true", "threads does not take True"),
        ("models = ['x']\nformats = 'q8_0'\nimatrix = 3", "imatrix takes a path"),
        ("models = ['x']\nformats = 'q8_0'\noutput = '-'", "output takes a path"),
        ("models = ['x']\nformats = 'q8_0'\nprune-layers = [[1]]", "prune-layers does not take"),
        ("models = ['x']\nformats = 'q8_0'\ntensor-types = ['a=q8_0']", "tensor-types does not take"),
        ("models = ['x']\nformats = 'q8_0'\n[tensor-types]\na = 8", "tensor-types does not take"),
        ("models = ['x']\nformats = 'q8_0'\ninclude-weights = [1]", "include-weights does not take"),
        ("models = ['x']\nformats = 'q8_0'\noverride-kv = [1]", "override-kv does not take"),
        ("models = ['x']\nformats = 'q8_0'\n[gates]\nmax-rms = 1", "'max-rms' is not a key; the nearest is max-rmse"),
        ("models = ['x']\nformats = 'q8_0'\nmax-rmse = 1", "'max-rmse' is not a key"),
        ("models = ['x']\nformats = 'q8_0'\ngates = 1", "gates is a table"),
        ("models = ['x', 'y']\nformats = 'q8_0'\noutput = 'x.gguf'", "x.gguf is a file"),
        ("models = ['x'", "is not TOML"),
        ("x = " + "[" * 100_000, "is not TOML"),
        ("\xff", "'\xff' is not a key|is not TOML"),
        ("#" * (1 << 20) + "#", "is larger than 1,048,576 bytes"),
    ],
)
def test_a_file_with_mistakes_is_refused(text, says, tmp_path):
    (tmp_path / "quantize.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        read_tasks(tmp_path / "quantize.toml")


@given(st.one_of(st.binary(), st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        tasks = read_tasks(file)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  either end is right
    else:
        assert tasks


def test_numbers_of_threads_are_bounded(quantize, models):
    (models / "quantize.toml").write_text("models = ['tiny-a']\nformats = 'q8_0'\nthreads = 100000")
    assert "--threads takes a number from 1 to 1024" in sentence(quantize("--config", "quantize.toml").stderr)


def test_every_keyword_is_a_key(tmp_path):
    """A value of the wrong kind is told as such, which an unknown key would not be."""
    gates = {"max_rmse", "min_sqnr", "max_size", "keep_failed"}
    for keyword in Keywords.__optional_keys__:
        line = f"{keyword.replace('_', '-')} = 1979-05-27"
        text = f"models = ['x']\nformats = 'q8_0'\n{'[gates]' if keyword in gates else ''}\n{line}"
        (tmp_path / "quantize.toml").write_text(text)
        with pytest.raises(UsageError, match=rf"{keyword.replace('_', '-')} (does not take|takes a path)"):
            read_tasks(tmp_path / "quantize.toml")


def test_the_example_of_the_documents_is_understood(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "quantize.toml").write_text(text)
    shakespeare, other = read_tasks(tmp_path / "quantize.toml")
    assert shakespeare.formats == ("q8_0", "q4_k_m")
    assert shakespeare.options["max_rmse"] == other.options["max_rmse"] == "10%"
    assert other.options["imatrix"] == str(tmp_path / "name.imatrix.gguf")


# Where it is shown.


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_no_escape_codes_where_nobody_looks_but_when_asked(variables, escapes, quantize, models, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = quantize("tiny-a", *USUAL)
    assert result.exit_code == 0
    assert ("\x1b[" in result.stderr) == escapes
    assert "\r" not in result.stderr
