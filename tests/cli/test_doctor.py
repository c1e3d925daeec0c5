"""quantize doctor: what it finds out, and how it shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantize_cli import health
from quantize_cli.run import compiling


@pytest.fixture(autouse=True)
def few_kernels(monkeypatch):
    """Two formats, for time; and a cache of the Hub with one file."""
    monkeypatch.setattr(health, "FORMATS", ("Q8_0", "F16"))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "hub"
    (folder / "models--org--name" / "blobs").mkdir(parents=True)
    (folder / "models--org--name" / "blobs" / "x").write_bytes(b"12345")
    (folder / "models--org--name" / "link").symlink_to("blobs/x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


def test_it_is_json_on_request(quantize, hub):
    result = quantize("doctor", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["packages"]["numpy"]
    assert told["threads"] >= 1
    assert 0 < told["available_bytes"] <= told["memory_bytes"]
    assert 0 < told["kernels_compiled"] == told["kernels"]  # other tests need them
    (of_hub,) = [folder for folder in told["folders"] if folder["purpose"] == "Hub's cache"]
    assert of_hub["path"] == str(hub)
    assert (of_hub["files"], of_hub["bytes"]) == (2, 5 + len("blobs/x"))
    assert of_hub["free_bytes"] > 0


def test_people_get_lines_that_fit(quantize, hub, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(compiling, "_is_cached", lambda kernel: kernel.type == "F16")
    monkeypatch.setattr(health, "PACKAGES", ("numpy", "no-such-package"))
    result = quantize("doctor")
    assert result.exit_code == 0
    assert "no-such-package is missing" in result.stdout
    assert "the others are compiled when they are needed, or by `quantize warm`" in " ".join(result.stdout.split())
    long = [line for line in result.stdout.splitlines() if len(line) > 60]
    assert all("/" in line for line in long)  # a path is not cut


def test_what_is_wrong_with_the_cache_is_a_note(quantize, hub, tmp_path, monkeypatch):
    from quantize_cli.simd import folders

    place = tmp_path / "open"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(place))
    folder = folders.cache_folder()
    assert folder is not None
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    monkeypatch.setattr(compiling, "_is_cached", lambda _kernel: bool(folders.readable()))
    assert "can be written to by other users" in " ".join(quantize("doctor").stdout.split())


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", (8 << 10, 4 << 10)), ("2048", (2048, 2048)), ("9999999", (8 << 10, 4 << 10))]
)
def test_a_container_may_have_less_memory(limit, expected, tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable: 4 kB\n")
    (tmp_path / "max").write_text(f"{limit}\n")
    monkeypatch.setattr(health, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(health, "_MEMORY_LIMITS", (tmp_path / "none", tmp_path / "max"))
    assert health._memory() == expected
    monkeypatch.setattr(health, "_MEMORY", tmp_path / "none")
    total, available = health._memory()
    assert total
    assert available is None
