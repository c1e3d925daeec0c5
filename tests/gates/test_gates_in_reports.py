"""Reports show which gates were checked, and what became of them."""

from __future__ import annotations

from command_line import invoke

from quantize_cli import quantize


def test_markdown_and_html_list_the_gates(llama, tmp_path):
    report = quantize(llama, "q8_0", tmp_path / "out.gguf", max_rmse="50%", min_sqnr="attn_v=1")
    text, page = report.to_markdown(), report.to_html()
    assert text.count("| passed |") == len(report.gates) == 2
    assert page.count("<td>passed</td>") == 2
    plain = quantize(llama, "q8_0", tmp_path / "plain.gguf")
    assert "## Gates" not in plain.to_markdown()
    assert ">Gates<" not in plain.to_html()


def test_a_failed_gate_is_in_the_report_of_kept_files(llama, tmp_path):
    report = tmp_path / "report.md"
    arguments = ("-f", "q2_k", "-o", tmp_path / "out.gguf", "--max-rmse", "0.0001", "--keep-failed", "--report", report)
    assert invoke(llama, *arguments).exit_code == 3
    assert "| failed |" in report.read_text()
