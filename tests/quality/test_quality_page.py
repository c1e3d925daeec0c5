"""The tables of measured quality, from made-up figures."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_factory import evaluated, records, tokens

from quantize_cli.evaluation.figures import divergence, paired
from quantize_cli.evaluation.model import Difference

QUALITY = Path(__file__).parents[2] / "quality"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(QUALITY)
    return importlib.import_module("_page")


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(QUALITY)
    return importlib.import_module("_results")


def compared(results, text, theirs, ours):
    one, other = tokens(theirs), tokens(ours)
    return results.Compared(text, divergence(one), divergence(other), paired(other, one))


def quality(results, model="smollm2", texts=("second half of x.txt", "part C")):
    evaluation = evaluated("Q2_K", "Q8_0", "Q4_K_M")
    others = tuple(divergence(tokens(2 * file.all.mean_kld)) if texts[1:] else None for file in evaluation.files)
    pairs = tuple(
        results.Pair(
            f"{like} with imatrix", ours, 1000, 998, tuple(compared(results, text, 0.1, 0.1 * share) for text in texts)
        )
        for like, ours, share in (
            ("Q4_K_M", "budget of Q4_K_M", 0.6),
            ("Q3_K_M", "budget of Q3_K_M", 0.5),
            ("Q2_K", "budget of Q2_K, gptq", 0.2),
            ("Q4_K_M", "budget of Q3_K_M, gptq", 0.9),
        )
    )
    setting = results.Setting("2026-01-02", "a machine", {"torch": "2.13.0"})
    overlaps = tuple((text, 0.0123) for text in texts)
    return results.Quality(
        1, setting, model, "ab" * 32, records(), False, overlaps, evaluation, others, pairs, seconds=600.0
    )


def test_methods_stand_in_the_order_of_their_bytes(page, results):
    held = page.methods(quality(results))
    assert [row[0] for row in held.rows] == ["Q8_0", "Q4_K_M", "Q2_K"]
    assert {len(row) for row in held.rows} == {len(held.header)}
    assert held.header[-1] == "KLD, other text"


def test_there_is_not_a_column_for_a_second_text_without_one(page, results):
    held = page.methods(quality(results, texts=("part C",)))
    assert "KLD, other text" not in held.header
    assert {len(row) for row in held.rows} == {len(held.header)}


def test_a_pair_has_a_row_for_each_text_with_what_is_asked_for(page, results):
    rows = [row[1:5] for row in page.pairs(quality(results)).rows]
    assert rows == [
        ("budget of Q4_K_M", "second half of x.txt", "at most 0.66", "ok"),
        ("budget of Q4_K_M", "part C", "", ""),
        ("budget of Q3_K_M", "second half of x.txt", "at most 0.46", "short"),
        ("budget of Q3_K_M", "part C", "at most 0.75", "ok"),
        ("budget of Q2_K, gptq", "second half of x.txt", "at most 0.175", "short"),
        ("budget of Q2_K, gptq", "part C", "", ""),
        ("budget of Q3_K_M, gptq", "second half of x.txt", "at most 1", "ok"),
        ("budget of Q3_K_M, gptq", "part C", "", ""),
    ]


def test_the_built_in_texts_alone_do_not_decide(page, results):
    assert {row[3] for row in page.pairs(quality(results, texts=("part C",))).rows} == {""}


@pytest.mark.parametrize(("difference", "kept"), [(0.0019, True), (0.0021, False), (-1.0, True)])
def test_another_model_may_be_worse_by_two_errors(page, results, difference, kept):
    (one, *_), *_ = (pair.texts for pair in quality(results).pairs)
    pair = results.Pair(
        "Q2_K with imatrix",
        "budget of Q2_K",
        9,
        9,
        (dataclasses.replace(one, difference=Difference(difference, 0.001)),),
    )
    assert page.verdict("shakespeare-llama", pair, 0)[1] is kept


def test_the_ratio_is_ours_by_theirs(results):
    assert compared(results, "x", 0.1, 0.025).ratio == pytest.approx(0.25)


def test_a_divergence_that_rounding_alone_gives_is_not_told(page, results):
    held = quality(results)
    nothing = dataclasses.replace(held.evaluation.files[0].all, mean_kld=-1e-9)
    files = tuple(dataclasses.replace(file, all=nothing) for file in held.evaluation.files)
    made = page.methods(dataclasses.replace(held, evaluation=dataclasses.replace(held.evaluation, files=files)))
    assert {row[4] for row in made.rows} == {"below 0.000001"}


def test_the_page_and_the_json_tell_the_setting(page, results):
    held = quality(results)
    rendered = page.render(held)
    assert all(told in rendered for told in ("2026-01-02", "a machine", "torch 2.13.0", "10.0 minutes", "1.23 %"))
    assert all(record.sha256 in rendered for record in held.calibration)
    read = json.loads(results.to_json(held))
    assert read["pairs"][0]["their_bytes"] == 1000
    assert read["evaluation"]["files"][0]["format"] == "Q2_K"
    assert np.isfinite(read["pairs"][0]["texts"][0]["difference"]["error"])
