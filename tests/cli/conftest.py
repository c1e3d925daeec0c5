"""The command in an empty folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, invoke

Quantize = Callable[..., Result]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)  # that of the job that runs the tests
    return folder


@pytest.fixture
def quantize(work: Path) -> Quantize:
    """Run the command with the given arguments in the current folder."""
    return invoke
