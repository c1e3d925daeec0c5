"""Fixtures of the tests of block types."""

from __future__ import annotations

import pytest
from oracle import ggml


@pytest.fixture(scope="session", autouse=True)
def _reference_s_tables_made_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All workers of pytest-xdist ask the same servers of the reference, whose tables take half a minute to make."""
    own = tmp_path_factory.getbasetemp()
    ggml.share_servers(own.parent if hasattr(request.config, "workerinput") else own)
