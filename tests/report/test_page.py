"""The HTML page in a browser: Chromium, without a window and without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import Browser, found
from report_factory import FORMATS, HOSTILE, hostile, made_up, unlike_any_other

from quantize_cli.report import html

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="Chromium is not installed; install it to look at the page"),
]

DRAWN = (
    "document.querySelectorAll('.report.shown .chart[_echarts_instance_]').length === 3 "
    "&& document.querySelector('.report.shown .tensors td') !== null"
)
#: The number of colours in each chart that is shown, the paper included; a chart without marks has few.
COLOURS = """
[...document.querySelectorAll(".chart[_echarts_instance_]")].filter((div) => div.offsetParent).map((div) => {
  const canvas = echarts.getInstanceByDom(div).getRenderedCanvas();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size; })"""
ROWS = "[...document.querySelectorAll('.report.shown .tensors tbody tr')].map((row) => row.cells[0].textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    reports = {
        "one": [made_up("Q4_K_M", weighted=True)],
        "ladder": [made_up(name, weighted=True) for name in FORMATS],
        "large": [made_up("Q4_K_M", 2222)],
        "odd": [unlike_any_other(made_up("Q4_K_M", 2222))],
        "hostile": [hostile(made_up("Q4_K_M", 3)), hostile(made_up("Q2_K", 3))],
    }
    for name, several in reports.items():
        (folder / f"{name}.html").write_text(html.render(several), encoding="utf-8")
    return folder


def brightness(browser):
    red, green, blue = browser.value(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)"
    )
    return (red + green + blue) / 3


def overflow(browser):
    return browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("name", ["one", "ladder"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_are_drawn_at_every_width_light_and_dark(browser, pages, name, width, dark):
    browser.open(pages / f"{name}.html", width=width, dark=dark)
    browser.wait_for(DRAWN)
    assert overflow(browser) == 0
    assert (brightness(browser) < 64) is dark
    colours = browser.value(COLOURS)
    assert len(colours) == (4 if name == "ladder" else 3)
    assert min(colours) > 20
    assert len(browser.value(ROWS)) == 50
    assert browser.complaints() == []


def test_every_format_of_a_ladder_can_be_chosen(browser, pages):
    browser.open(pages / "ladder.html", width=1280)
    browser.wait_for(DRAWN)
    titles = []
    for number in range(len(FORMATS)):
        browser.value(f"document.querySelectorAll('.tabs a')[{number}].click()")
        browser.wait_for(DRAWN)
        titles.append(browser.value("document.querySelector('.report.shown h1').textContent"))
        assert min(browser.value(COLOURS)) > 20
    assert [title.split()[-1] for title in titles] == list(FORMATS)
    assert browser.value("document.querySelectorAll('.report.shown').length") == 1
    assert browser.complaints() == []


def test_the_colours_follow_the_readers_choice(browser, pages):
    browser.open(pages / "one.html", width=1280)
    browser.wait_for(DRAWN)
    picture = "echarts.getInstanceByDom(document.querySelector('[data-chart=heat]')).getRenderedCanvas().toDataURL()"
    before = browser.value(picture)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait_for("matchMedia('(prefers-color-scheme: dark)').matches")
    browser.value("new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")
    assert browser.value(picture) != before
    assert browser.complaints() == []


def test_the_table_can_be_searched_sorted_and_paged_through(browser, pages):
    browser.open(pages / "one.html", width=1280)
    browser.wait_for(DRAWN)
    table = made_up("Q4_K_M", weighted=True).tensors
    status = "document.querySelector('[role=status]').textContent"
    assert browser.value(ROWS) == [tensor.name for tensor in table[:50]]
    assert browser.value(status) == "1 to 50 of 291 tensors"
    browser.value("[...document.querySelectorAll('.controls button')].find((b) => b.textContent === 'Next').click()")
    assert browser.value(ROWS) == [tensor.name for tensor in table[50:100]]

    def sort(title):
        browser.value(
            f"[...document.querySelectorAll('.tensors th button')].find((b) => b.textContent === '{title}').click()"
        )
        return browser.value(ROWS)

    by_error = sorted(table, key=lambda tensor: -(tensor.error.relative_rmse or 0))
    first = sort("Relative RMSE")
    assert first[0] == by_error[0].name
    assert set(first[:10]) == {tensor.name for tensor in by_error[:10]}
    assert browser.value("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    assert sort("Relative RMSE")[0] == next(tensor.name for tensor in table if tensor.error.relative_rmse == 0)
    assert sort("Relative RMSE") == [tensor.name for tensor in table[:50]]  # in the file's order again
    assert sort("Tensor")[9:11] == ["blk.1.attn_k.weight", "blk.1.attn_norm.weight"]  # 1, 2, 10: not 1, 10, 2

    search = "document.querySelector('.tensors input')"
    browser.value(f"{search}.value = 'ATTN_V matter blk.1'; {search}.dispatchEvent(new Event('input'))")
    expected = [f"blk.{layer}.attn_v.weight" for layer in (1, *range(10, 20))]
    assert browser.value(ROWS) == expected
    assert browser.value(status) == "1 to 11 of 11 found of 291 tensors"
    browser.value(f"{search}.value = 'nothing like it'; {search}.dispatchEvent(new Event('input'))")
    assert browser.value(status) == "No tensor matches."
    assert browser.complaints() == []


def test_another_figure_can_colour_the_heat_map(browser, pages):
    browser.open(pages / "one.html", width=390)
    browser.wait_for(DRAWN)
    select = "document.querySelector('.report.shown select')"
    titles = browser.value(f"[...{select}.options].map((option) => option.textContent)")
    assert titles == ["Relative RMSE (%)", "Weighted relative RMSE (%)", "SQNR (dB)", "Bits per weight"]
    seen = set()
    for number in range(len(titles)):
        browser.value(f"{select}.selectedIndex = {number}; {select}.dispatchEvent(new Event('change'))")
        browser.value("new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")
        seen.add(
            browser.value(
                "echarts.getInstanceByDom(document.querySelector('[data-chart=heat]')).getRenderedCanvas().toDataURL()"
            )
        )
    assert len(seen) == len(titles)
    assert browser.complaints() == []


def test_the_curve_has_a_linear_and_a_logarithmic_scale(browser, pages):
    browser.open(pages / "ladder.html", width=1280)
    browser.wait_for(DRAWN)
    select, chart = "document.querySelector('select')", "document.querySelector('[data-chart=curve]')"
    kind = f"echarts.getInstanceByDom({chart}).getOption().yAxis[0].type"
    assert browser.value(kind) == "value"
    browser.value(f"{select}.selectedIndex = 1; {select}.dispatchEvent(new Event('change'))")
    assert browser.value(kind) == "log"
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_there_without_scripts(browser, pages, width):
    browser.open(pages / "ladder.html", width=width, scripts=False)
    assert overflow(browser) == 0
    assert browser.complaints() == []
    browser.call("Emulation.setScriptExecutionDisabled", value=False)  # to look at it
    shown = browser.value("[...document.querySelectorAll('.report')].filter((one) => one.offsetHeight > 0).length")
    assert shown == len(FORMATS)
    assert browser.value("document.querySelectorAll('canvas, .controls').length") == 0
    text = browser.value("document.body.innerText")
    for report in (made_up(name, weighted=True) for name in FORMATS):
        assert report.files[0].path in text
        assert f"{report.totals.bytes:,}" in text
    assert browser.value("document.querySelector('.heat').offsetHeight") > 100


def test_text_from_files_never_becomes_markup(browser, pages):
    browser.open(pages / "hostile.html", width=1280)
    browser.wait_for(DRAWN)
    assert browser.value("document.scripts.length") == 4
    assert browser.value("document.querySelectorAll('script:not([src])').length") == 4
    shown = HOSTILE.replace("\x1b", "?").replace("\u2028", "?")
    assert browser.value(ROWS)[0] == shown
    for chart in ("bytes", "heat"):  # their tips show names too
        tip = f"""(() => {{
          const chart = echarts.getInstanceByDom(document.querySelector('.report.shown [data-chart={chart}]'));
          chart.dispatchAction({{ type: 'showTip', seriesIndex: 0, dataIndex: {2 if chart == "bytes" else 0} }});
          return document.querySelector('.report.shown [data-chart={chart}] .tip')?.textContent ?? ''; }})()"""
        browser.wait_for(f"{tip}.includes('<script>alert(1)')")
    assert browser.value("document.scripts.length") == 4
    assert browser.complaints() == []


def test_an_unknown_script_does_not_run(browser, tmp_path):
    page = html.render([made_up("Q4_K_M", 2)])
    planted = page.replace("<main>", "<main><script>window.planted = true</script><img src=x onerror='planted = true'>")
    (tmp_path / "planted.html").write_text(planted, encoding="utf-8")
    browser.open(tmp_path / "planted.html", width=1280)
    browser.wait_for(DRAWN)
    assert browser.value("window.planted === undefined")
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())


@pytest.mark.parametrize("name", ["large", "odd"])
def test_twenty_thousand_tensors_are_shown(browser, pages, name):
    page = pages / f"{name}.html"
    assert page.stat().st_size < 3_000_000
    browser.call("Performance.enable", timeDomain="threadTicks")  # processor time, which other work does not change
    browser.open(page, width=1280)
    browser.wait_for(DRAWN)
    metrics = {one["name"]: one["value"] for one in browser.call("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["TaskDuration"] < 2
    assert browser.value("document.querySelector('[role=status]').textContent") == "1 to 50 of 20,001 tensors"
    assert browser.value("document.querySelectorAll('.tensors tr').length") == 51
    assert min(browser.value(COLOURS)) > 20
    assert overflow(browser) == 0
    assert browser.complaints() == []
