"""A Hub on loopback that the client in this process asks."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from .upload_server import TOKEN, serving


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as server:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.chdir(tmp_path)
        yield server
