"""Evaluations for people and programs: terminal, JSON, Markdown, HTML."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import math
import re

import pytest
from evaluation_factory import FORMATS, TEXT_KINDS, evaluated, hostile
from rich.console import Console

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.report.evaluations import tables, terminal
from quantize_cli.report.evaluations.curve import curves
from quantize_cli.report.evaluations.write import RENDERERS, write_evaluation

SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;?[31m&amp;"


@pytest.fixture(scope="module")
def evaluation():
    return evaluated(*FORMATS)


def on_terminal(evaluation, width):
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(terminal.render(evaluation))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.028213, 0.000412, "0.02821 +- 0.00041"),
        (0.338, 0.013, "0.338 +- 0.013"),
        (12.3, 2.0, "12.3 +- 2.0"),
        (-0.0012, 0.0001, "-0.00120 +- 0.00010"),
        (0.1, 1e-12, "0.100000 +- 0.000000"),
        (0.1, 0.0, "0.1000"),
        (0.1, math.nan, "0.1000"),
        (0.0, 0.0, "0"),
        (math.nan, 0.1, "-"),
        (3e-9, math.nan, "3.0e-09"),
        (1234.5, math.nan, "1234"),
    ],
)
def test_a_figure_ends_with_the_second_digit_of_its_error(value, error, text):
    assert tables.with_error(value, error) == text


def test_a_terminal_shows_a_row_for_each_file_and_narrows(evaluation):
    for width in (40, 80, 160):
        lines = on_terminal(evaluation, width)
        assert max(map(len, lines)) <= width
        starts = [line.split()[0] for line in lines if line]
        assert all(starts.count(name) == 2 for name in FORMATS)
    wide, narrow = on_terminal(evaluation, 160), on_terminal(evaluation, 80)
    (row,) = [line for line in narrow if line.startswith("Q4_K_M") and "GiB" in line]
    held = evaluation.files[3].all
    assert re.split(r"\s{2,}", row) == [
        "Q4_K_M",
        "4.52 GiB",
        "4.84",
        tables.kld(held),
        tables.nats(held.kld_99_9),
        tables.same_top(held),
    ]
    assert any("ln ratio" in line and "less the first" in line for line in wide)
    assert any(line.split()[:6] == ["KLD", "by", "kind", "worst", "kind", "its"] and "prose" in line for line in wide)
    assert not any("prose" in line for line in narrow)
    assert all(line.isascii() for line in narrow if "─" not in line)


def test_files_of_one_format_are_told_apart_by_their_names(evaluation):
    one, two = (dataclasses.replace(evaluation.files[3], file=f"{maker}/M-Q4_K_M-{maker}.gguf") for maker in "ab")
    both = dataclasses.replace(evaluation, files=(one, two))
    assert tables.labels(both) == ["M-Q4_K_M-a", "M-Q4_K_M-b"]
    assert tables.labels(evaluation) == [*FORMATS]


def test_the_worst_kind_is_found_also_when_it_is_not_a_number(evaluation):
    file = evaluation.files[0]
    assert tables.worst_kind(file)[0] == "code"
    broken = dataclasses.replace(file.by_kind[0][1], mean_kld=math.nan)
    assert tables.worst_kind(dataclasses.replace(file, by_kind=(("prose", broken), *file.by_kind[1:])))[0] == "prose"
    assert tables.worst_kind(dataclasses.replace(file, by_kind=())) is None


def test_json_is_the_value_field_by_field_and_strict(evaluation):
    broken = dataclasses.replace(evaluation.files[0].all, perplexity=math.inf, mean_kld_error=math.nan)
    files = (dataclasses.replace(evaluation.files[0], all=broken), *evaluation.files[1:])
    found = json.loads(RENDERERS[".json"](dataclasses.replace(evaluation, files=files)), parse_constant=pytest.fail)
    assert [*found] == [field.name for field in dataclasses.fields(evaluation)]
    assert found["files"][0]["all"]["perplexity"] is None
    assert found["files"][0]["all"]["mean_kld_error"] is None
    assert found["files"][3]["all"]["mean_kld"] == evaluation.files[3].all.mean_kld
    assert [kind for kind, _ in found["files"][3]["by_kind"]] == [*TEXT_KINDS]
    assert found["files"][3]["from_first"] == dataclasses.asdict(evaluation.files[3].from_first)
    assert found["texts"][0]["documents"] == ["prose-1", "prose-2"]


def test_markdown_and_html_hold_all_tables(evaluation):
    markdown, page = RENDERERS[".md"](evaluation), RENDERERS[".html"](evaluation)
    assert markdown.startswith("# 8 files against meta-llama/Meta-Llama-3.1-8B-Instruct\n")
    for table in (tables.comparison(evaluation), tables.kinds(evaluation), tables.spread(evaluation)):
        assert all(cell in markdown for row in table.rows for cell in row)
        assert all(cell in page for row in table.rows for cell in row)
    assert f"<td>{evaluation.texts[2].sha256}</td>" in page
    assert 'data-chart="curve"' in page


def test_the_curve_has_the_best_files_and_only_what_a_logarithm_takes(evaluation):
    exact = dataclasses.replace(evaluation.files[0], all=dataclasses.replace(evaluation.files[0].all, mean_kld=0.0))
    mean, worst, tail = curves(dataclasses.replace(evaluation, files=(exact, *evaluation.files[1:])))
    assert [point.label for point in mean.points] == ["Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K"]
    assert [point.label for point in mean.points if not point.best] == ["Q4_0"]
    assert len(worst.points) == len(tail.points) == len(FORMATS)
    assert worst.points[0].shown.endswith("(code)")


def test_the_page_carries_the_curve(evaluation):
    page = RENDERERS[".html"](evaluation)
    (data,) = re.findall('<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page)
    found = json.loads(gzip.decompress(base64.b64decode(data)))
    assert found[0]["points"][0]["value"] == evaluation.files[-1].all.mean_kld
    assert len(re.findall(r"'sha256-", page.split("</head>")[0])) == 3


def test_names_cannot_become_markup(evaluation):
    odd = hostile(evaluation)
    page = RENDERERS[".html"](odd)
    body = page.split("<body>")[1].split('<script type="application/octet-stream"')[0]
    assert "<script" not in body
    assert not {"\x1b", "\u2028"} & set(body)
    assert SHOWN in body
    assert not re.search(r"(?<!\\)<script", RENDERERS[".md"](odd))
    assert "\x1b" not in "".join(on_terminal(odd, 80))


def test_the_suffix_picks_the_form(evaluation, tmp_path):
    for suffix, render in RENDERERS.items():
        path = tmp_path / f"evaluation{suffix}"
        write_evaluation(evaluation, path)
        assert path.read_text() == render(evaluation)
        with pytest.raises(OutputError, match="exists"):
            write_evaluation(evaluation, path)
        write_evaluation(evaluation, path, force=True)
    with pytest.raises(UsageError, match=r"must end in \.json, \.md or \.html"):
        write_evaluation(evaluation, tmp_path / "evaluation.txt")
