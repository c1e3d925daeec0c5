from __future__ import annotations

import dataclasses

import pytest
from report_factory import FORMATS, error, made_up, report_of, tensor

from quantize_cli.report.spread import MOST_BINS, curve, distribution


def with_errors(*relatives):
    tensors = [tensor(f"blk.{i}.x.weight", (32, 32), "Q8_0", "base", one, False) for i, one in enumerate(relatives)]
    return report_of("Q8_0", tuple(tensors), False)


def test_every_tensor_is_in_the_bin_of_its_sqnr():
    found = distribution(with_errors(0.1, 0.101, 0.0, 0.01))  # 20, 19.9, exact and 40 dB
    assert found.exact == 1
    assert found.types == ("Q8_0",)
    counted = {edge: count for edge, count in zip(found.edges, found.counts[0], strict=False) if count}
    assert counted == {19.0: 1, 20.0: 1, 40.0: 1}
    assert len(found.edges) == len(found.counts[0]) + 1


@pytest.mark.parametrize("smallest", [0.99, 0.1, 1e-3, 1e-9, 1e-60, 1e-150])
def test_there_are_never_too_many_bins(smallest):
    found = distribution(with_errors(1.0, smallest))
    assert 1 <= len(found.counts[0]) <= MOST_BINS
    assert sum(found.counts[0]) == 2


def test_a_report_without_errors_does_not_have_bins():
    assert distribution(with_errors(0.0, 0.0)) == distribution(with_errors(0.0, 0.0))
    assert distribution(with_errors(0.0)).edges == ()
    assert distribution(with_errors(0.0)).exact == 1


def test_the_curve_goes_from_the_smallest_file_to_the_largest():
    points = curve([made_up(name, 2) for name in FORMATS])
    assert [point.format for point in points] == list(FORMATS)[::-1]
    assert all(point.best for point in points)
    assert {point.weighted_relative_rmse for point in points} == {None}


def test_a_format_that_another_one_beats_is_marked():
    small = made_up("Q4_K_M", 2)
    worse = dataclasses.replace(
        made_up("Q5_K_M", 2), totals=dataclasses.replace(made_up("Q5_K_M", 2).totals, error=error(0.2))
    )
    assert [(point.format, point.best) for point in curve([worse, small])] == [("Q4_K_M", True), ("Q5_K_M", False)]


def test_exact_formats_are_not_on_the_curve_and_still_beat_others():
    exact = dataclasses.replace(
        made_up("Q2_K", 2), totals=dataclasses.replace(made_up("Q2_K", 2).totals, error=error(0.0))
    )
    (point,) = curve([exact, made_up("Q4_K_M", 2)])
    assert (point.format, point.best) == ("Q4_K_M", False)
