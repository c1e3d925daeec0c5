"""The Hub's client in this process, led to the Hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from .hub_server import HubServer


@contextmanager
def led_to(server: HubServer, cache: Path) -> Iterator[None]:
    """Let the client, which reads its environment once, know no other Hub, and give it a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.endpoint)
        patch.delenv("HF_TOKEN", raising=False)
        patch.setattr(constants, "ENDPOINT", server.endpoint)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        yield


@contextmanager
def own_session() -> Iterator[None]:
    """Give the client connections that go to no proxy; to make them takes a while, so tests share them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        close_session()
        yield
        close_session()
