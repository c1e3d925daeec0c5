from __future__ import annotations

import dataclasses
import json
import os
from functools import partial

import pytest

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.temporary import Temporary
from quantize_cli.report import markdown
from quantize_cli.report.write import RENDERERS, check_report_path, write_report


@pytest.mark.parametrize("suffix", RENDERERS)
def test_the_suffix_picks_the_renderer(report, tmp_path, suffix):
    path = tmp_path / f"report{suffix.upper()}"
    write_report([report], path, force=False)
    assert path.read_text(encoding="utf-8") == RENDERERS[suffix]([report])
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_replaced(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    write_report([report], path, force=True)
    assert json.loads(path.read_text())["schema_version"] == 2


def test_the_file_has_the_usual_permissions(report, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    path = tmp_path / "report.json"
    write_report([report], path, force=False)
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["report", "report.txt", "report.json.gz", ".json"])
@pytest.mark.parametrize(
    "call", [partial(check_report_path, force=True), lambda path: write_report([], path, force=True)]
)
def test_an_unknown_suffix_is_a_usage_error(tmp_path, name, call):
    with pytest.raises(UsageError, match=r"must end in \.json, \.md or \.html\.$"):
        call(tmp_path / name)


@pytest.mark.parametrize("failing", ["fsync", "link"])
def test_a_failed_write_leaves_nothing(report, tmp_path, monkeypatch, failing):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Temporary, "link")), no_room)
    path = tmp_path / "report.md"
    with pytest.raises(OutputError, match=r"report\.md cannot be written \(No space left on device\)"):
        write_report([report], path, force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(report, tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report([report], tmp_path / "report.md", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_is_none_is_an_output_error(report, tmp_path, folder):
    (tmp_path / "file").touch()
    path = tmp_path / folder / "report.json"
    with pytest.raises(OutputError, match="does not exist" if folder == "missing" else "file is not a folder"):
        check_report_path(path, force=False)
    with pytest.raises(OutputError, match="cannot be written"):
        write_report([report], path, force=False)


def test_a_folder_in_the_files_place_is_an_output_error(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(OutputError, match="is not a regular file; choose another path with --report"):
        check_report_path(tmp_path / "report.json", force=True)


def test_a_folder_without_write_permission_is_an_output_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="not writable"):
        check_report_path(tmp_path / "report.json", force=False)


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "config.json"
    path.touch()
    with pytest.raises(OutputError, match="--force"):
        check_report_path(path, force=False)
    check_report_path(path, force=True)
    check_report_path(tmp_path / "report.json", force=False)


def test_a_path_that_is_no_utf8_can_be_reported(report, tmp_path):
    odd = dataclasses.replace(report, output=os.fsdecode(b"caf\xe9.gguf"))
    write_report([odd], tmp_path / "report.md", force=False)
    write_report([odd], tmp_path / "report.json", force=False)
    assert markdown.render([odd])
