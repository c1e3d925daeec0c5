"""Calibrations for people: what is sensitive, which channels are extreme, what was hardly hit."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import math
import re

import numpy as np
import pytest
from evaluation_factory import bits_of, calibrated
from report_factory import HOSTILE
from rich.console import Console

from quantize_cli.errors import UsageError
from quantize_cli.report.calibrations import tables, terminal
from quantize_cli.report.calibrations.coverage import expert_coverage, never_hit
from quantize_cli.report.calibrations.outliers import LIMIT, by_layer, outlier_channels
from quantize_cli.report.calibrations.sensitivity import costs_near, measured_types, totals
from quantize_cli.report.calibrations.write import write_calibration_page
from quantize_cli.sensitivity.model import BlockActivations, TensorCalibration


@pytest.fixture(scope="module")
def calibration():
    return calibrated(experts=8)


def tensor(name, counts=(64.0,), costs=None):
    held = np.array(counts, np.float32)
    return TensorCalibration(name, np.ones((held.size, 4), np.float32), held, costs or {})


def written(calibration, tmp_path, suffix, model="org/model"):
    path = tmp_path / f"page{suffix}"
    write_calibration_page(calibration, model, path)
    return path.read_text()


def test_outliers_are_held_against_the_median_of_their_layer(calibration):
    first, second = outlier_channels(calibration.blocks)
    assert (first.channel, first.first_layer, first.layers, first.magnitude) == (7, 2, 10, 150)
    assert (second.channel, second.first_layer, second.layers, second.magnitude) == (99, 4, 1, 12)
    magnitudes = [sorted(block.largest.tolist()) for block in calibration.blocks]
    medians = [(layer[127] + layer[128]) / 2 for layer in magnitudes]
    assert first.ratio == pytest.approx(
        max(block.largest[7] / m for block, m in zip(calibration.blocks, medians, strict=True))
    )
    told = by_layer(calibration.blocks)
    assert [layer.median for layer in told] == pytest.approx(medians)
    assert [layer.outliers for layer in told] == [0, 0, 1, 1, 2, *[1] * 7]
    assert [channel for channel, _ in told[4].largest[:2]] == [7, 99]


def test_a_large_scale_alone_is_not_an_outlier_and_zeros_are_none():
    even = BlockActivations(np.full(16, 100, np.float32), np.ones(16, np.float32))
    silent = BlockActivations(np.zeros(16, np.float32), np.zeros(16, np.float32))
    limit = BlockActivations(np.array([1] * 15 + [LIMIT], np.float32), np.ones(16, np.float32))
    assert outlier_channels([even, silent]) == ()
    assert [(held.from_limit, held.outliers) for held in by_layer([even, silent, limit])] == [(16, 0), (0, 0), (1, 1)]
    assert [held.channel for held in outlier_channels([even, silent, limit])] == [15]
    assert outlier_channels([]) == ()


def test_experts_are_counted_by_layer(calibration):
    rows = expert_coverage(calibration.tensors)
    assert len(rows) == 12
    assert rows[3].kinds == ("ffn_down_exps", "ffn_gate_exps", "ffn_up_exps")
    assert (rows[3].layer, rows[3].experts, rows[3].never, rows[3].hardly) == ("3", 8, (1,), (2,))
    assert (rows[3].least, rows[3].even) == (0, (4000 + 12 + 5 * 4096) / 8)
    other = [tensor("blk.0.ffn_up_exps.weight", (9, 10)), tensor("blk.0.ffn_down_exps.weight", (9, 11))]
    assert [row.kinds for row in expert_coverage(other)] == [("ffn_up_exps",), ("ffn_down_exps",)]


def test_what_nothing_has_reached_is_told():
    some = calibrated(2)
    assert tables.warnings(some) == ()
    unseen = tensor("blk.9.ffn_up.weight", (0,))
    held = dataclasses.replace(some, tensors=(*some.tensors, unseen))
    assert never_hit(held.tensors) == (unseen.name,)
    (sentence,) = tables.warnings(held)
    assert sentence == "No token has reached blk.9.ffn_up.weight; nothing is known of their columns."
    (sentence,) = tables.warnings(calibrated(2, experts=4))
    assert sentence.startswith("In 2 layers, 2 experts were never hit and 2 hardly; give more text")


def test_the_nearest_measured_type_stands_in():
    held = [
        tensor("a.weight", costs={"Q8_0": 0.1, "Q4_K": 0.5, "Q2_K": 9.0}),
        tensor("b.weight", costs={"Q8_0": 0.1, "Q5_0": 0.3, "Q2_K": 9.0}),
        tensor("c.weight"),
    ]
    near = costs_near(held)
    assert [cost and (cost.type, cost.nats) for cost in near] == [("Q4_K", 0.5), ("Q5_0", 0.3), None]
    assert abs(bits_of("Q5_0") - bits_of("Q4_K")) < abs(bits_of("Q2_K") - bits_of("Q4_K"))
    assert measured_types(held) == ("Q8_0", "Q5_0", "Q4_K", "Q2_K")
    assert totals(held)[0] == ("Q8_0", 2, pytest.approx(0.2))


def test_the_page_has_all_sections_and_its_charts_data(calibration, tmp_path):
    page = written(calibration, tmp_path, ".html")
    headings = ["Sensitivity by layer and kind", "Outlier dimensions", "Experts", "Texts", "The model"]
    assert re.findall("<h2>(.*?)</h2>", page) == headings
    assert page.count("--heat:") == len(calibration.tensors)
    (data,) = re.findall('<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page)
    found = json.loads(gzip.decompress(base64.b64decode(data)))
    assert [channel["channel"] for channel in found["outliers"]["channels"]] == [7, 99]
    measures = found["sensitivity"]["measures"]
    assert len(measures) == 7
    cost = calibration.tensors[5].costs["Q4_K"]
    assert measures["log10 of the nats a token at Q4_K"][5] == pytest.approx(math.log10(cost), abs=1e-3)
    assert f"<td>{calibration.texts[3].sha256}</td>" in page


def test_markdown_has_the_same_tables(calibration, tmp_path):
    text = written(calibration, tmp_path, ".md")
    assert text.startswith("# Calibration of org/model\n")
    assert "| 7 | 2 | 10 | 150 | 71.3 |" in text
    assert "| 3 | ffn_down_exps, ffn_gate_exps, ffn_up_exps | 1 | 2 | 8 | 0 | 3,062 |" in text


def test_what_was_not_measured_is_left_out(tmp_path):
    bare = dataclasses.replace(calibrated(1), blocks=(), tensors=(tensor("blk.0.ffn_up.weight"),))
    page = written(bare, tmp_path, ".html")
    assert re.findall("<h2>(.*?)</h2>", page) == ["Texts", "The model"]
    assert "data-chart=" not in page.split("<body>")[1].split("</main>")[0]
    with pytest.raises(UsageError, match=r"must end in \.md or \.html"):
        write_calibration_page(bare, "m", tmp_path / "page.json")


def test_names_cannot_become_markup(calibration, tmp_path):
    odd = dataclasses.replace(
        calibration,
        architecture=HOSTILE,
        tensors=(tensor(HOSTILE, (0,), {"Q4_K": 1.0}), *calibration.tensors),
        texts=tuple(dataclasses.replace(text, kind=HOSTILE, documents=(HOSTILE,)) for text in calibration.texts),
    )
    body = written(odd, tmp_path, ".html", HOSTILE).split("<body>")[1].split('<script type="application')[0]
    assert "<script" not in body
    assert not {"\x1b", "\u2028"} & set(body)
    assert "\x1b" not in written(odd, tmp_path, ".md", HOSTILE)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_shows_what_matters(calibration, width):
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(terminal.render(calibration, model="org/model"))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "24,576 in 48 sequences of 512" in text
    assert "channel 7 and 1 more, from layer 2 on" in text
    assert "12 experts were never hit" in text
    assert "blk.1.attn_v" in text
