"""Fixtures for every test: small checkpoints to read and to break."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from checkpoint_factory import make_checkpoint
from hypothesis import settings

from quantize_cli.tokenizers import tokenizer_file
from quantize_cli.tokenizers.child.main import answer
from quantize_cli.tokenizers.sandbox import Limits

# A busy machine must not fail a test: time is measured by benchmarks.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Compile all kernels before several workers run the suite, because each of them would compile most of them.

    A shell starts background jobs with Ctrl-C ignored; tests send it, and so it is heard again.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        subprocess.run([sys.executable, "-m", "quantize_cli", "warm"], check=True)


@pytest.fixture(scope="session", autouse=True)
def _tokenizers_read_once() -> Iterator[None]:
    """Keep the answers of the process that reads tokenizers: to start one takes 0.1 s, and most tests need the same."""
    in_child = tokenizer_file.in_child
    answers: dict[bytes, bytes] = {}

    def kept(request: bytes, *rest: Any) -> bytes:
        key = hashlib.sha256(request).digest()
        if key not in answers:
            answers[key] = in_child(request, *rest)
        return answers[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_file, "in_child", kept)
        yield


@pytest.fixture
def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read tokenizer.json in this process, for tests that read hundreds of sound ones, or that change a table."""

    def here(request: bytes, what: str, limits: Limits, packages: Sequence[str]) -> bytes:
        return answer(request)

    monkeypatch.setattr(tokenizer_file, "in_child", here)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in BF16, for tests that only read it."""
    return make_checkpoint(tmp_path_factory.mktemp("shared") / "tiny-llama")


@pytest.fixture
def own_llama(tmp_path: Path) -> Path:
    """The same for tests that change or break it."""
    return make_checkpoint(tmp_path / "tiny-llama")
