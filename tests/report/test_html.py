"""The HTML page as text; test_page.py looks at it in a browser."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_factory import FORMATS, hostile, made_up, unlike_any_other

from quantize_cli.report import heat, html
from quantize_cli.report import page_data as packing

ASSETS = Path(html.__file__).parent / "assets"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;?[31m&amp;"


def unpacked(page):
    (data,) = re.findall('<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(data)))


def section(page, title):
    return page.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]


def test_has_a_row_for_every_tensor_and_type(report):
    page = html.render([report])
    types, tensors = section(page, "Types, and why").split("</table>")[0], section(page, "Tensors")
    assert types.count("<tr><td>") == len(report.types)
    assert tensors.count("<tr><td>") == len(report.tensors)
    assert '<td class="n">940,032</td>' in tensors
    assert f"<td>{report.files[0].sha256}</td>" in page


def test_kinds_and_reasons_have_rows_most_bytes_first(report):
    page = html.render([report])
    kinds = re.findall("<tr><td>(.*?)</td>", section(page, "Where the bytes are"))
    assert kinds[0] == "odd|name[bold]*x*?[31m"
    assert set(kinds) >= {"token_embd", "attn_q.bias", "attn_output"}
    assert "<td>Q4_K needs rows of 256, this one has 576</td>" in section(page, "Types, and why")


def test_a_ladder_begins_with_a_comparison(ladder):
    page = html.render(ladder)
    first, *each = re.findall("<h1>(.*)</h1>", page)
    assert first == "SmolLM2-135M-Instruct in 3 formats"
    assert [title.split()[-1] for title in each] == ["Q4_K_M", "IQ3_XXS", "MXFP4_MOE"]
    assert re.findall('<a href="#report-([0-9])">', page) == ["0", "1", "2"]
    assert 'data-chart="curve"' in page
    assert 'data-chart="curve"' not in html.render(ladder[:1])


def test_a_large_model_has_the_tensors_with_the_largest_errors_as_html():
    large = made_up("Q4_K_M", 150)
    assert len(large.tensors) > html.MOST_ROWS
    page = html.render([large])
    tensors = section(page, "Tensors")
    names = re.findall("<tr><td>(.*?)</td>", tensors)
    assert len(names) == html.MOST_ROWS
    assert f"all {len(large.tensors):,}" in tensors
    worst = max(large.tensors, key=lambda tensor: tensor.error.relative_rmse or 0)
    assert names[0] == worst.name
    assert {len(column) for column in unpacked(page)["columns"]} == {len(large.tensors)}


def test_a_model_with_many_kinds_has_those_with_the_most_bytes_as_html():
    odd = unlike_any_other(made_up("Q4_K_M", 60))
    page = html.render([odd])
    for title in ("Where the bytes are", "Types, and why"):
        (more,) = re.findall(r"<tr><td>and (\d+) more</td>", section(page, title))
        assert int(more) == len(odd.tensors) - html.MOST_KINDS
    largest = max(odd.tensors, key=lambda tensor: tensor.bytes).name
    assert f"<tr><td>{largest}</td>" in section(page, "Where the bytes are")


def test_the_packed_data_is_what_the_tables_show(ladder):
    data = unpacked(html.render(ladder))
    assert [report["format"] for report in data["reports"]] == ["Q4_K_M", "IQ3_XXS", "MXFP4_MOE"]
    first = data["reports"][0]
    columns = [data["columns"][index] for index in first["cells"]]
    assert len(columns) == len(first["header"])
    assert [column[0] for column in columns][:5] == [
        "token_embd.weight",
        "model.token_embd.weight",
        "1536 x 576",
        "BF16",
        "Q8_0",
    ]
    assert len(data["columns"]) < sum(len(report["cells"]) for report in data["reports"])  # formats share columns
    assert list(first["measures"]) == ["Relative RMSE (%)", "SQNR (dB)", "Bits per weight"]
    assert "Weighted relative RMSE (%)" in data["reports"][1]["measures"]
    assert first["measures"]["Relative RMSE (%)"][:3] == [0.51, 0.0, None]


def test_the_same_reports_give_the_same_bytes(ladder):
    assert packing.packed(ladder) == packing.packed(ladder)


@pytest.mark.parametrize("count", [1, 2])
def test_names_cannot_become_markup(report, count):
    page = html.render([hostile(report)] * count)
    body = page.split("<body>")[1].split('<script type="application/octet-stream"')[0]
    assert "<script" not in body
    assert not {"\x1b", "\u2028"} & set(body)
    assert SHOWN in body
    assert SHOWN in page.split("</title>")[0]


def test_names_cannot_become_markup_in_a_notebook(report):
    fragment = hostile(report)._repr_html_()
    assert "<script" not in fragment
    assert SHOWN in fragment


def test_the_policy_lets_only_the_pages_own_scripts_run(ladder):
    page = html.render(ladder)
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', page)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 3
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"


def test_a_page_needs_no_other_file_and_is_small():
    page = html.render([made_up(name, weighted=True) for name in FORMATS])
    assert len(page.encode()) < 3_000_000
    own = page.replace((ASSETS / "echarts" / "echarts.min.js").read_text(encoding="utf-8"), "")
    assert not re.search(r'(?i)(src|href)="(?!#)|url\(|@import|https?:', own)


def test_a_page_is_well_formed(ladder):
    opened = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    checker = Checker()
    checker.feed(html.render(ladder))
    checker.close()
    assert opened == []


def test_a_notebook_shows_all_but_the_tensors_and_no_script(report):
    fragment = report._repr_html_()
    assert "<h4>Largest errors</h4>" in fragment
    assert 'class="heat"' in fragment
    assert "<h2>Tensors</h2>" not in fragment
    assert "<script" not in fragment
    assert len(fragment) < 50_000


def test_the_heat_map_has_a_cell_for_each_layer_and_is_left_out_where_it_would_be_huge():
    table = heat.table(made_up("Q4_K_M", 4))
    assert re.findall("<th>(.*?)</th>", table)[:6] == ["", "-", "0", "1", "2", "3"]
    assert table.count("--heat:") == 4 * 7 + 2
    assert "--heat:1.00" in table
    assert heat.table(made_up("Q4_K_M", 600)) == ""
    exact = dataclasses.replace(made_up("Q4_K_M", 1), tensors=made_up("Q4_K_M", 1).tensors[2:3])
    assert heat.table(exact) == ""


def test_echarts_is_the_file_that_its_note_names():
    folder = ASSETS / "echarts"
    note = (folder / "README.md").read_text(encoding="utf-8")
    text = (folder / "echarts.min.js").read_bytes()
    assert f"`{hashlib.sha256(text).hexdigest()}`" in note
    (version,) = re.findall(r"version \| (\S+) \|", note)
    assert f'version="{version}"'.encode() in text
    assert {path.name for path in folder.iterdir()} >= {"LICENSE", "LICENSE-d3", "NOTICE"}


@pytest.mark.parametrize("script", sorted(ASSETS.rglob("*.js")), ids=lambda path: path.name)
def test_a_script_can_stand_in_a_page(script):
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"(?i)</script|<!--|\r", text)
