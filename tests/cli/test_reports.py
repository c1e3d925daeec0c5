"""Where the reports of a run go: several files, standard output, and the summary of a job of GitHub Actions."""

from __future__ import annotations

import json

import pytest
from command_line import USUAL, sentence

from quantize_cli import quantize as in_python
from quantize_cli.report import markdown
from quantize_cli.report.several import Reports


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_report_that_is_named_is_written(quantize, llama, work):
    reports = ("--report", "r.json", "--report", "r.md", "--report", "r.html", "--report", "r.md")
    assert quantize(llama, *USUAL, *reports, "-o", "x.gguf").exit_code == 0
    assert files(work) == ["r.html", "r.json", "r.md", "x.gguf"]
    assert len(json.loads((work / "r.json").read_text())["reports"]) == 1
    assert (work / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert (work / "r.md").read_text().startswith("# tiny-llama as Q8")


def test_all_reports_are_checked_before_the_run(quantize, llama, work):
    result = quantize(llama, *USUAL, "--report", "r.json", "--report", "r.txt")
    assert result.exit_code == 2
    assert "r.txt must end in .json, .md or .html" in sentence(result.stderr)
    (work / "old.md").touch()
    result = quantize(llama, *USUAL, "--report", "r.json", "--report", "old.md")
    assert "old.md" in sentence(result.stderr)
    (work / "link.json").symlink_to("r.json")
    result = quantize(llama, *USUAL, "--report", "r.json", "--report", "link.json", "--force")
    assert "are the same file" in sentence(result.stderr)
    assert files(work) == ["link.json", "old.md"]


@pytest.mark.parametrize("name", ["-", "md:-"])
def test_a_report_is_printed_as_markdown(quantize, llama, work, name):
    result = quantize(llama, *USUAL, "--report", name, "--report", "r.md", "-o", "x.gguf")
    assert result.exit_code == 0
    assert result.stdout == (work / "r.md").read_text()
    assert files(work) == ["r.md", "x.gguf"]


def test_a_report_is_printed_as_json(quantize, llama, work):
    result = quantize(llama, *USUAL, "-f", "f16", "--report", "json:-")
    assert [report["format"] for report in json.loads(result.stdout)["reports"]] == ["Q8_0", "F16"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-o", "-", "--report", "-"), "Standard output cannot hold both the model and its report"),
        (("--report", "-", "--report", "json:-"), "Standard output holds one report"),
    ],
)
def test_standard_output_holds_one_thing(quantize, llama, work, monkeypatch, options, told):
    result = quantize(llama, *USUAL, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in sentence(result.stderr)
    assert files(work) == []


def test_a_job_of_github_actions_gets_a_summary(quantize, llama, work, monkeypatch):
    summary = work / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert quantize(llama, *USUAL, "-o", "x.gguf").exit_code == 0
    text = summary.read_text()
    assert text.startswith("before\n# tiny-llama as Q8")
    assert "## Types" in text
    assert "## Tensors" not in text
    assert quantize(llama, *USUAL, "-o", "y.gguf").exit_code == 0
    assert summary.read_text().startswith(text)
    assert "y.gguf" in summary.read_text()


def test_a_summary_that_cannot_be_written_is_a_warning(quantize, llama, work, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(work / "missing" / "summary"))
    result = quantize(llama, *USUAL, "-o", "x.gguf")
    assert result.exit_code == 0
    assert "cannot be written (No such file or directory); the model itself is complete." in result.stderr
    assert files(work) == ["x.gguf"]


def test_the_library_takes_one_path_or_several_and_returns_what_notebooks_show(llama, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    paths = (path for path in (tmp_path / "r.md", str(tmp_path / "r.json")))
    reports = in_python(llama, ["q8_0", "f16"], tmp_path, report=paths, pre_tokenizer=USUAL[3], threads=1)
    assert isinstance(reports, Reports)
    assert (tmp_path / "r.md").read_text() == markdown.render(reports) == reports.to_markdown()
    assert "<td>F16</td>" in reports._repr_html_()
    assert (tmp_path / "r.json").exists()
    assert not (tmp_path / "summary").exists()
