"""Completion in the shell: commands, models of the cache, formats, options and paths."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from command_line import invoke

from quantize_cli.cli.completing import SHELLS, VARIABLE


@pytest.fixture
def complete(monkeypatch, tmp_path, capsys):
    """Complete the last of some words, as the function in bash does."""
    for name in ("models--org--name", "models--HuggingFaceTB--SmolLM2-135M", "datasets--org--data", "version.txt"):
        (tmp_path / "hub" / name).mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def ask(line):
        with monkeypatch.context() as asked:
            asked.setenv(VARIABLE, "bash_complete")
            asked.setenv("COMP_WORDS", f"quantize {line}")
            asked.setenv("COMP_CWORD", str(line.count(" ") + 1))
            result = invoke()
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout.splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("do", ["file,do", "plain,doctor"]),
        ("or", ["file,or", "plain,org/name"]),
        ("Hug", ["file,Hug", "plain,HuggingFaceTB/SmolLM2-135M"]),
        ("org/name wa", ["file,wa"]),
        ("inspect or", ["file,or", "plain,org/name"]),
        ("x -f q4_k", ["plain,q4_k_m", "plain,q4_k_s"]),
        ("x --format Q8", ["plain,q8_0"]),
        ("x -f q8_0,q6", ["plain,q8_0,q6_k"]),
        ("warm tq", ["plain,tq2_0", "plain,tq1_0"]),
        ("x --imatrix im", ["file,im"]),
        ("x --mod", ["plain,--modelfile"]),
        ("completion f", ["plain,fish"]),
    ],
)
def test_what_fits_is_offered(line, expected, complete):
    assert complete(line) == expected


def test_commands_are_offered_first(complete):
    offered = complete("")
    assert {"plain,formats", "plain,warm", "plain,org/name"} < {*offered}


def test_a_missing_cache_holds_nothing(complete, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/no/such/folder")
    assert complete("or") == ["file,or"]


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_those_of_the_shells(shell, quantize):
    result = quantize("completion", shell)
    assert (result.exit_code, result.stderr) == (0, "")
    assert VARIABLE in result.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True)


def test_an_unknown_shell_is_one_sentence(quantize):
    result = quantize("completion", "tcsh")
    assert result.exit_code == 2
    assert result.stderr.startswith("quantize: ")
