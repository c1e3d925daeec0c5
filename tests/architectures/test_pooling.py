"""Pooling types that are refused, and files that name others; the types themselves are held in test_general.py."""

from __future__ import annotations

import json

import pytest

from quantize_cli.architectures.pooling import pooling_type
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError, UnsupportedError


@pytest.fixture
def pooling(tmp_path):
    """(modules.json, the pooling module's config.json) -> GGUF's number."""

    def read(modules, config=None):
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "modules.json").write_text(modules if isinstance(modules, str) else json.dumps(modules))
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(config))
        return pooling_type(FolderSidecars(tmp_path))

    return read


def module(path):
    return [{"type": "sentence_transformers.models.Pooling", "path": path}]


def test_a_named_mode_is_gguf_s_number(pooling):
    assert pooling(module("1_Pooling"), {"pooling_mode": "cls"}) == 2


def test_without_modules_there_is_no_pooling(tmp_path):
    assert pooling_type(FolderSidecars(tmp_path)) is None


@pytest.mark.parametrize("config", [{}, {"pooling_mode": ["mean"]}, {"pooling_mode_max_tokens": True}])
def test_another_pooling_is_unsupported(pooling, config):
    with pytest.raises(UnsupportedError, match=r"config\.json asks for a pooling other than mean, cls, lasttoken"):
        pooling(module("1_Pooling"), config)


REFUSED = {
    "not JSON": ("[", "modules.json is not valid JSON"),
    "not a list": ("7", "modules.json is not a list of modules"),
    "modules of no kind": ([{"type": 7}], "modules.json is not a list of modules"),
    "modules without a path": ([{"type": "Pooling"}], "modules.json is not a list of modules"),
    "an absolute path": (module("/etc"), "'/etc', which leaves the folder"),
    "a path upwards": (module("a/../../b"), "which leaves the folder"),
    "a path upwards with backslashes": (module("a\\..\\..\\b"), "which leaves the folder"),
    "a drive": (module("C:b"), "which leaves the folder"),
    "a path of no kind": (module(7), "which leaves the folder"),
    "a path that no system has": (module("a\0b"), "'a\\x00b/config.json', which cannot be read"),
    "a path with a line break": (module("a\nb"), "'a\\nb/config.json', which cannot be read"),
    "a path to nothing": (module("none"), "'none/config.json', which cannot be read"),
    "a config that is a list": (module("1_Pooling"), "1_Pooling/config.json is not a JSON object"),
}


@pytest.mark.parametrize(("modules", "words"), REFUSED.values(), ids=REFUSED)
def test_damaged_files_are_refused(pooling, modules, words):
    with pytest.raises(CheckpointError) as caught:
        pooling(modules, [])
    message = str(caught.value)
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message
