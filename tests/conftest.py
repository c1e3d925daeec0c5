"""Fixtures for every test: small checkpoints to read and to break."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_factory import make_checkpoint
from hypothesis import settings

# A busy machine must not fail a test: time is measured by benchmarks.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in BF16, for tests that only read it."""
    return make_checkpoint(tmp_path_factory.mktemp("shared") / "tiny-llama")


@pytest.fixture
def own_llama(tmp_path: Path) -> Path:
    """The same for tests that change or break it."""
    return make_checkpoint(tmp_path / "tiny-llama")
