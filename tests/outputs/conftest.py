"""The two kinds of temporary files."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(params=["unnamed", "named"])
def kind(request, monkeypatch):
    """Files without names, where the system has them, and files with hidden names, as elsewhere."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("the system does not have files without names")
    return request.param
