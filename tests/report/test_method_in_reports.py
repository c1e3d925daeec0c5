"""What a method gave, in every form of the report."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from report_factory import made_up
from rich.console import Console

from quantize_cli.evaluation.model import Difference, Divergence
from quantize_cli.methods.outcome import Measured
from quantize_cli.report import json_report, terminal
from quantize_cli.report.model import MethodReport, Report


def measured(title: str, kld: float, difference: Difference | None) -> Measured:
    figures = {"tokens": 4096, "median_kld": kld / 2, "kld_99": kld * 9, "kld_99_9": kld * 20, "same_top": 0.93}
    rest = {"same_top_error": 0.004, "perplexity": 20.5, "original_perplexity": 20.0, "ln_ratio": 0.02}
    return Measured(
        title,
        1_000_000,
        Divergence(mean_kld=kld, mean_kld_error=kld / 40, ln_ratio_error=0.003, **figures, **rest),
        difference,
    )


def with_method(*, better: bool) -> Report:
    report = made_up("Q3_K_M", layers=4)
    ours = measured("gptq", 0.0379, None)
    same = measured("the same types by llama.cpp's search", 0.0606 if better else 0.03, Difference(-0.0227, 0.0008))
    rival = measured("Q3_K_M with imatrix", 0.1384, Difference(-0.1005, 0.003))
    method = MethodReport(
        name="gptq",
        rounded_by="gptq" if better else "reference",
        kept=ours.title if better else same.title,
        text="part C of the built-in texts",
        files=(ours, same, rival),
        chosen=("blk.0.attn_q.weight", "blk.0.attn_k.weight"),
        searched=("blk.1.attn_v.weight",),
        without=("blk.1.ffn_up.weight",),
        foldings=3,
        seconds=754.0,
    )
    return replace(report, method=method)


def drawn(report: Report, columns: int = 100) -> str:
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(terminal.render([report]))
    return console.export_text()


@pytest.mark.parametrize("form", [drawn, Report.to_markdown, Report.to_html])
def test_the_figures_stand_in_every_form(form):
    text = form(with_method(better=True))
    for figure in ("0.03790", "0.00095", "0.06060", "0.13840", "-0.02270", "-0.10050", "0.00080"):
        assert figure in text
    plain = " ".join(text.split())
    for part in ("0.63 of that of the same types", "better in 2 tensors", "in 3 places", "1 cannot be rounded by it"):
        assert part in plain
    assert "not better here" in " ".join(form(with_method(better=False)).split())
    assert "gptq" not in form(made_up("Q3_K_M", layers=4))


def test_a_narrow_terminal_shows_them_too():
    text = drawn(with_method(better=True), 60)
    assert "0.03790" in text
    assert max(map(len, text.splitlines())) <= 60


def test_json_has_all_fields():
    (held,) = json.loads(json_report.render([with_method(better=True)]))["reports"]
    assert held["method"]["files"][1]["difference"] == {"mean": -0.0227, "error": 0.0008}
    assert held["method"]["files"][0]["divergence"]["mean_kld"] == 0.0379
