"""The pages of the documentation: their commands and their Python run, and the site builds."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from quantize_cli.cli.app import GROUP
from quantize_cli.mixes.find import find_format

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: All pages but those for people who change the code, whose commands need the reference.
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.glob("**/*.md")
    if "_build" not in page.parts and page.name not in ("families.md", "kernels.md", "benchmarks.md")
)
#: What stands for something of the reader's, which is not here: MODEL, org/model, a model on the Hub.
PLACEHOLDER = re.compile(r"\b(?:MODEL|NAME|FILE|PART|FORMAT|ORG|org/|you/|me/|path/to|HuggingFaceTB/)|\[|\.\.\.")
#: Programs that pages call beside the command.
TOOLS = ("jq", "sha256sum")


def lines_of(page: str) -> Iterator[str]:
    """Every line of a page that calls the command or one of `TOOLS`: indented, or in a block for a shell."""
    text = (DOCS / page).read_text()
    blocks = [
        *re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL),
        *re.findall(r"^    \S.*$", text, re.MULTILINE),
    ]
    starts = re.compile(rf"(?:[A-Z_]+=\S* )*(?:quantize|{'|'.join(TOOLS)}) ")
    # In the order of the page, not in that of the two kinds of blocks.
    found = {line.strip() for block in blocks for line in block.splitlines() if starts.match(line.strip())}
    return (line.strip() for line in text.splitlines() if line.strip() in found)


def commands() -> list[str]:
    return [*dict.fromkeys(line for page in PAGES for line in lines_of(page) if "quantize " in line)]


def runnable(page: str) -> list[str]:
    return [line for line in lines_of(page) if not PLACEHOLDER.search(line)]


@pytest.mark.parametrize("line", commands())
def test_every_command_has_only_options_and_formats_that_exist(line):
    words = shlex.split(line.split("quantize ", 1)[1].partition(" | ")[0].partition(" > ")[0], comments=True)
    command = GROUP.commands[words[0] if words[0] in GROUP.commands else "model"]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    assert {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)} <= known
    for option, value in pairwise(words):
        if option in ("--format", "-f") and not PLACEHOLDER.search(value):
            assert [find_format(name) for name in value.split(",")]


def test_the_pages_have_commands():
    assert len(commands()) >= 20
    assert {"index.md", "formats.md", "workflows.md", "report.md", "inspect.md"} <= {
        page for page in PAGES if runnable(page)
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path):
    """A page is a script: its lines run one after another in a folder that has the example."""
    lines = runnable(page)
    missing = [tool for tool in TOOLS if shutil.which(tool) is None and any(tool in line for line in lines)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "quantize").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m quantize_cli "$@"\n')
    (commands / "quantize").chmod(0o755)
    env = {**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = "set -euo pipefail\n" + "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def pages_of_python() -> list[str]:
    return [page for page in PAGES if "```python" in (DOCS / page).read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_of_python())
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(code, {})
    assert capsys.readouterr().out


def test_a_page_shows_python():
    assert "python.md" in pages_of_python()


def test_every_page_is_in_the_navigation():
    toctrees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = {f"{line}.md" for tree in toctrees for line in tree.splitlines() if line and not line.startswith(":")}
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md") if "_build" not in page.parts}
    assert listed | {"index.md"} == pages


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("furo") is None, reason="needs what `make docs` installs")
def test_the_site_builds_without_a_warning(tmp_path):
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Q4_K_M" in (tmp_path / "formats.html").read_text()
