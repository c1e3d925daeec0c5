"""A Hub on loopback, and the environment of processes that ask it."""

from __future__ import annotations

import os
import threading

import pytest

from .hub_server import HubServer


@pytest.fixture
def server():
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(server, tmp_path):
    """A process with these variables knows no other Hub and has a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return {**kept, "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": server.endpoint, "NO_PROXY": "*"}
