"""What the command does where all is well, and what it says."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from command_line import COMMAND, USUAL, pipes, sentence, started
from gguf import GGUFReader

from quantize_cli.cli import options
from quantize_cli.cli.app import GROUP
from quantize_cli.cli.help import EXAMPLES
from quantize_cli.version import GENERATOR

COMMANDS = GROUP.commands

PRE = ("--pre-tokenizer", PRE_TOKENIZER)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# Which model, which output.


def test_the_default_output_is_named_after_model_and_format(quantize, llama, work):
    result = quantize(llama, *USUAL)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert files(work) == ["tiny-llama-Q8_0.gguf"]
    assert GGUFReader(work / "tiny-llama-Q8_0.gguf").tensors[0].tensor_type.name == "Q8_0"


def test_model_is_the_default_command(quantize, llama, work):
    for i, command in enumerate([("model", llama), (llama,), ("model", llama / "model.safetensors")]):
        assert quantize(*command, *USUAL, "-o", f"{i}.gguf").exit_code == 0
    assert quantize(*USUAL, "-o", "options-first.gguf", llama).exit_code == 0
    assert len({(work / name).read_bytes() for name in files(work)}) == 1


def test_without_a_path_the_current_folder_or_else_model_is_taken(quantize, work, monkeypatch):
    for command in (("model",), ()):
        result = quantize(*command, *USUAL)
        assert result.exit_code == 2
        assert sentence(result.stderr).startswith("No MODEL is given, and the current folder is not a checkpoint; name")
    make_checkpoint(work / "model", num_hidden_layers=1)
    for command in (("model",), ()):
        assert quantize(*command, *USUAL, "--force").exit_code == 0
    assert files(work) == ["model", "model-Q8_0.gguf"]
    monkeypatch.chdir(work / "model")
    for command in (("model",), ()):
        assert quantize(*command, *USUAL, "--force").exit_code == 0
    assert "model-Q8_0.gguf" in files(work / "model")
    assert (work / "model" / "model-Q8_0.gguf").read_bytes() == (work / "model-Q8_0.gguf").read_bytes()


def test_the_models_name_is_the_folders_however_it_is_called(quantize, work):
    make_checkpoint(work / "tiny", num_hidden_layers=1)
    (work / "sub").mkdir()
    for path in ("tiny", "tiny/", "./tiny", "sub/../tiny", work / "tiny"):
        assert quantize(path, *USUAL, "--force").exit_code == 0
    assert files(work) == ["sub", "tiny", "tiny-Q8_0.gguf"]


def test_in_a_folder_the_file_has_its_usual_name(quantize, llama, work):
    (work / "models").mkdir()
    assert quantize(llama, *USUAL, "-o", "models").exit_code == 0
    assert (files(work), files(work / "models")) == (["models"], ["tiny-llama-Q8_0.gguf"])


def test_formats_are_found_in_any_case(quantize, llama, work):
    for name in ("q8_0", "Q8_0", "q8_0".title()):
        assert quantize(llama, "--format", name, *PRE, "--force").exit_code == 0
    assert files(work) == ["tiny-llama-Q8_0.gguf"]


def test_force_overwrites_and_nothing_else_does(quantize, llama, work):
    (work / "model.gguf").write_text("mine")
    (work / "report.md").write_text("mine")
    arguments = (llama, *USUAL, "-o", "model.gguf", "--report", "report.md")
    assert quantize(*arguments).exit_code == 1
    assert (work / "model.gguf").read_text() == (work / "report.md").read_text() == "mine"
    assert quantize(*arguments, "--force").exit_code == 0
    assert (work / "model.gguf").read_bytes()[:4] == b"GGUF"
    assert "tiny-llama" in (work / "report.md").read_text()


# What it says.


@pytest.mark.parametrize("suffix", ["json", "JSON", "md"])
def test_the_report_is_written_as_its_suffix_says(suffix, quantize, llama, work):
    assert quantize(llama, *USUAL, "-o", "model.gguf", "--report", f"report.{suffix}").exit_code == 0
    text = (work / f"report.{suffix}").read_text()
    if suffix.lower() == "json":
        (report,) = json.loads(text)["reports"]
        assert report["schema_version"] == 2
        assert report["output"] == "model.gguf"
        assert report["totals"]["file_bytes"] == (work / "model.gguf").stat().st_size
        assert {tensor["name"] for tensor in report["tensors"]} == {
            t.name for t in GGUFReader(work / "model.gguf").tensors
        }
    else:
        assert text.startswith("#")
    assert files(work) == ["model.gguf", f"report.{suffix}"]


def test_progress_is_a_line_a_layer_where_nobody_looks(quantize, llama):
    told = quantize(llama, *USUAL).stderr.splitlines()
    lines = [
        line.split()[1].rstrip(",") for line in told if "%" in line.split(" ", 1)[0] or line.lstrip()[:1].isdigit()
    ]
    assert lines == ["output.weight", "output_norm.weight", "token_embd.weight", "blk.0", "blk.1"]


def test_the_table_is_on_standard_error(quantize, llama):
    result = quantize(llama, *USUAL)
    assert result.stdout == ""
    for said in ("tiny-llama", "Q8_0", "bits/weight", "rel. RMSE", "largest errors", "tiny-llama-Q8_0.gguf"):
        assert said in result.stderr


def test_a_fallback_is_a_warning(quantize, tmp_path):
    folder = make_checkpoint(tmp_path / "odd", intermediate_size=272, num_hidden_layers=1)
    result = quantize(folder, *USUAL)
    assert result.exit_code == 0
    told = " ".join(result.stderr.split())
    assert "warning: 1 of 12 tensors" in told
    assert "the types that Q8_0 gives them" in told


@pytest.mark.parametrize(
    "name", ["[bold red]x", "a[link=b]c", "[red", "x\x1b[31my", "line\nbreak", "tab\tbell\x07", "ümläut"]
)
def test_a_models_name_is_shown_as_it_is(name, quantize, tmp_path, work):
    """Neither Rich's markup nor a terminal's control characters have a meaning in it."""
    folder = make_checkpoint(tmp_path / "models" / name, num_hidden_layers=1)
    result = quantize(folder, *USUAL, "--report", "report.md")
    assert result.exit_code == 0
    assert "".join(c if c.isprintable() else "?" for c in name) in result.stderr
    assert not [c for c in result.stderr if c < " " and c != "\n"]
    assert files(work) == sorted([f"{name}-Q8_0.gguf", "report.md"])


@pytest.mark.parametrize("call", ["--version", "-V", "model --version", "x -V"])
def test_version(call, quantize):
    result = quantize(*call.split())
    assert (result.exit_code, result.stdout) == (0, f"{GENERATOR}\n")


@pytest.mark.parametrize("call", ["", "-h", "model --help", "x -h", "--debug --help"])
def test_help_is_the_same_wherever_it_is_asked_for(call, quantize):
    result = quantize(*call.split())
    assert (result.exit_code, result.stdout) == (0, quantize("--help").stdout)


def test_help_shows_commands_options_and_examples(quantize):
    help_text = quantize("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command}  +[A-Z].*\.$", help_text, re.MULTILINE)
    for option in options.ALL:
        assert re.search(rf"^  .*{option.opts[-1]}\b", help_text, re.MULTILINE)
    assert "-h, --help" in help_text
    for example in EXAMPLES:
        assert f"\n  {example}\n" in help_text
    assert max(map(len, help_text.splitlines())) <= 80


def test_a_command_has_help_of_its_own(quantize):
    for command in ("formats", "warm"):
        assert quantize(command, "-h").stdout.startswith(f"Usage: quantize {command} [OPTIONS]")


def test_the_package_is_the_command(work):
    done = subprocess.run([sys.executable, "-m", "quantize_cli", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{GENERATOR}\n"


# What answers at once.

IMPORTED = """
import sys
from quantize_cli.cli.app import main
code = main()
slow = {
    "numba", "numpy", "gguf", "rich", "tqdm", "huggingface_hub", "tokenizers", "sentencepiece", "safetensors", "yaml",
    "ml_dtypes", "llvmlite", "pydantic",
}
print(code, *sorted(slow & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("formats",), 0),
        (("formats", "--json"), 0),
        (("nowhere", "-f", "q8_0"), 1),
        ((".", "-f", "q9_k"), 2),
        ((".", "-f", "q8_0", "--imatrx", "x"), 2),
        ((".", "-f", "q8_0", "-t", "many"), 2),
        ((".",), 2),
        (("-f", "q8_0"), 2),
        (("warm", "q9_k"), 2),
    ],
)
def test_help_and_refusals_import_nothing_slow(arguments, code, work):
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == str(code)


# Standard output.


def test_standard_output_holds_the_file_and_nothing_else(llama, quantize, work):
    """In a process of its own: nothing that the libraries print may end up in it."""
    quantize(llama, *USUAL, "-o", "model.gguf")
    process = started(llama, *USUAL, "-o", "-", "--report", "report.json")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert stdout == (work / "model.gguf").read_bytes()
    assert b"standard output" in stderr
    (report,) = json.loads((work / "report.json").read_text())["reports"]
    assert report["output"] == "-"
    assert report["files"] == [{"path": "-", "bytes": len(stdout), "sha256": hashlib.sha256(stdout).hexdigest()}]


def test_a_reader_that_goes_away_ends_the_run_quietly(llama, work):
    """Like `cat`, which the system ends: 128 + SIGPIPE in the eyes of a shell, and not a word."""
    with started(llama, *USUAL, "-o", "-") as process:
        stdout, stderr = pipes(process)
        assert stdout.read(100)[:4] == b"GGUF"
        stdout.close()
        assert b"quantize:" not in stderr.read()
    assert process.returncode == 141
    assert files(work) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_sentence(llama, work):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = started(llama, *USUAL, "-o", "-", stdout=full)
        assert "No space left" in sentence(process.communicate()[1].decode())
    assert process.returncode == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the shell's syntax")
def test_closed_streams_are_no_crash(llama, work):
    """`>&-` leaves Python without sys.stdout, `2>&-` without sys.stderr."""
    run = ("sh", "-c", 'exec "$@" >&-', "sh", *COMMAND)
    process = started(llama, *USUAL, "-o", "-", command=run)
    assert "Standard output is closed" in sentence(process.communicate()[1].decode())
    assert process.returncode == 2
    process = started(llama, *USUAL, command=("sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND))
    assert process.communicate() == (b"", b"")
    assert process.returncode == 0
    assert files(work) == ["tiny-llama-Q8_0.gguf"]
