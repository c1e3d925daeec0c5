"""The pages of evaluations and calibrations in a browser, as test_page.py looks at that of a run."""

from __future__ import annotations

import pytest
from chromium import Browser, found
from evaluation_factory import FORMATS, calibrated, evaluated, hostile

from quantize_cli.report.calibrations.write import write_calibration_page
from quantize_cli.report.evaluations.write import write_evaluation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="Chromium is not installed; install it to look at the page"),
]

#: Page -> its number of charts.
CHARTS = {"evaluation": 1, "hostile": 1, "calibration": 2}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    evaluation = evaluated(*FORMATS)
    write_evaluation(evaluation, folder / "evaluation.html")
    write_evaluation(hostile(evaluation), folder / "hostile.html")
    write_calibration_page(calibrated(32, experts=8), "org/model", folder / "calibration.html")
    return folder


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (400, False), (400, True)])
def test_charts_are_drawn_at_every_width_light_and_dark(browser, pages, name, width, dark):
    browser.open(pages / f"{name}.html", width=width, dark=dark)
    browser.wait_for(f"document.querySelectorAll('.chart[_echarts_instance_]').length === {CHARTS[name]}")
    assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.value("document.querySelectorAll('select').length") == 1
    assert browser.complaints() == []


@pytest.mark.parametrize("name", CHARTS)
def test_all_figures_are_there_without_scripts(browser, pages, name):
    browser.open(pages / f"{name}.html", width=1200, scripts=False)
    rows = "[...document.querySelectorAll('tbody tr')].filter((row) => row.offsetParent).length"
    assert browser.value(rows) > 10
    assert browser.complaints() == []
