"""What a person sees while it works, a bar on a terminal and lines elsewhere."""

from __future__ import annotations

import io
import re
import sys
import time
from functools import partialmethod
from types import SimpleNamespace
from typing import cast

import pytest
from tqdm import tqdm

from quantize_cli.cli import console, progress
from quantize_cli.planning.model import Plan, PlannedTensor

COMPILING = [
    "Compiling kernels for Q5_0, Q8_0, once for this machine ...",
    "Compiled in 1.2 s; later runs take them from the cache.",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def tensor(name, weights=75):
    return cast("PlannedTensor", SimpleNamespace(name=name, type="Q8_0", weights=weights, source_bytes=weights * 2))


def planned(tensors):
    return cast("Plan", SimpleNamespace(weights=sum(held.weights for held in tensors), tensors=tensors))


def told(stream, monkeypatch):
    """What `stream`, as standard error, shows of a download and a run."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    with console.progress() as observer:
        observer.noted("Reading the headers of 2 files of org/\x1b[31mname.")
        observer.download_started(2, 5_000_000)
        for _ in range(50):
            observer.downloaded(100_000)
        observer.compiling(["Q5_0", "Q8_0"], kept=True)
        observer.compiled(1.25, kept=True)
        tensors = [tensor(name) for name in ("output.weight", "blk.0.x\x1b[2J", "blk.0.y", "blk.1.\nx")]
        observer.started(planned(tensors))
        for held in tensors:
            observer.tensor_started(held)
            observer.weights_done(75)
        observer.warned("never mind: the report says it")
    return stream.getvalue()


def test_lines_are_few_and_plain(monkeypatch):
    lines = told(io.StringIO(), monkeypatch).splitlines()
    assert lines[:2] == ["Reading the headers of 2 files of org/?[31mname.", "Downloading 2 files, 4.77 MiB."]
    assert [line.split(",")[0] for line in lines[2:12]] == [f"{tenth * 10:3}% downloaded" for tenth in range(1, 11)]
    assert re.fullmatch(r" 20% downloaded, [\d,.]+ MB/s, 00:00 left", lines[3])
    assert lines[12:14] == COMPILING
    assert lines[14] == "  0% output.weight"
    assert re.fullmatch(r" 25% blk\.0, 150/600 B, [\d,.]+ M weights/s, 00:00 left", lines[15])
    assert lines[16].startswith(" 75% blk.1, 450/600 B, ")
    assert len(lines) == 17


def test_the_time_goes_on_while_kernels_are_compiled(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "TICK", 0)
    with console.progress() as observer:
        observer.compiling([], kept=True)
        observer.kernel_compiled("quantize Q4_K", 1, 4)
        deadline = time.monotonic() + 60
        while stream.getvalue().count("1 of 4") < 2:
            assert time.monotonic() < deadline
        observer.compiled(0.5, kept=True)
    assert stream.getvalue().startswith("Compiling kernels, once for this machine ...\n")
    assert re.search(r"\r00:0\d, 1 of 4 kernels, quantize Q4_K", stream.getvalue())
    assert stream.getvalue().endswith("\rCompiled in 0.5 s; later runs take them from the cache.\n")


def test_lines_about_kernels_keep_their_distance(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress() as observer:
        observer.compiling([], kept=True)
        observer.kernel_compiled("quantize Q4_K", 1, 4)
        monkeypatch.setattr(progress, "PAUSE", 0)
        observer.kernel_compiled("measure errors", 2, 4)
    assert stream.getvalue().splitlines()[1:] == ["2 of 4 kernels are compiled."]


def test_a_time_has_hours_where_it_needs_them():
    assert [progress._interval(seconds) for seconds in (0, 59, 185, 3785, 90000)] == [
        tqdm.format_interval(seconds) for seconds in (0, 59, 185, 3785, 90000)
    ]


def test_nothing_is_promised_where_no_cache_keeps_the_kernels(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress() as observer:
        observer.compiling(["Q5_0"], kept=False)
        observer.compiled(0.5, kept=False)
    assert stream.getvalue() == "Compiling kernels for Q5_0 ...\nCompiled in 0.5 s.\n"


def test_bars_follow_each_other_and_leave_the_sentences(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, mininterval=0))
    shown = told(Terminal(), monkeypatch)
    assert "2 files" in shown
    assert "5.00M/5.00MB" in shown
    assert "blk.0.x?[2J Q8_0" in shown
    assert "\x1b" not in shown
    assert [line for line in shown.replace("\r", "\n").split("\n") if line.endswith(".")] == [
        "Reading the headers of 2 files of org/?[31mname.",
        *COMPILING,
    ]
    assert shown.endswith("\r"), "the last bar is gone"


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_nobody_need_look(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress() as observer:
        observer.noted("It works.")
    assert stream is None or stream.getvalue() == "It works.\n"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_to_do_is_no_division_by_zero(stream, monkeypatch):
    """Files of weights may be empty, and so may the size that a Hub tells."""
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with console.progress() as observer:
        observer.download_started(1, 0)
        observer.downloaded(0)
        observer.downloaded(10)
        observer.started(planned([tensor("empty", 0)]))
        observer.tensor_started(tensor("empty", 0))
        observer.weights_done(0)
    if stream is io.StringIO:
        assert shown.getvalue().splitlines() == ["Downloading 1 file, 0 B.", "empty"]


@pytest.mark.parametrize(("columns", "bar"), [(60, False), (80, True), (200, True)])
def test_a_line_has_bytes_speed_tensor_and_time_left_and_fits(columns, bar, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, mininterval=0))
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _stream: (columns, 24))
    tensors = [tensor(f"blk.{layer}.ffn_gate_exps.weight", 300_000_000) for layer in (9, 10)]
    with console.progress() as observer:
        observer.download_started(2, 5_000_000_000)
        observer.downloaded(1_250_000_000)
        observer.started(planned(tensors))
        for held in tensors:
            observer.tensor_started(held)
            observer.weights_done(held.weights)
    lines = [line for line in sys.stderr.getvalue().replace("\n", "\r").split("\r") if line.strip()]
    assert max(map(len, lines)) <= columns
    download = next(line for line in lines if "25%" in line)
    assert re.search(r"2 files.* 25%.*1\.25G/5\.00GB,? [\d.]+[kMGT]?B/s,? \d\d:\d\d left", download), download
    half = next(line for line in lines if " 50%" in line)
    assert re.search(r"blk\..* 50%.*0\.56/1\.12 GiB,? [\d.]+[kMGT]? weights/s,? \d\d:\d\d left", half), half
    assert ("|" in half) == bar


def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    shown = told(Terminal(), monkeypatch)
    assert "\r" not in shown
    assert " 75% blk.1" in shown


def measured(stream, monkeypatch, columns="100"):
    """What `stream`, as standard error, shows of the steps of a measurement."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", columns)
    with console.progress() as observer:
        for name in ("original", "a\x1b[2J.gguf", "a\x1b[2J.gguf"):
            for done in range(21):
                observer.stage(name, done, 20)
        observer.noted("Half way.")
    return stream.getvalue()


def test_steps_are_a_line_for_each_tenth(monkeypatch):
    lines = measured(io.StringIO(), monkeypatch).splitlines()
    assert len(lines) == 3 * 11 + 1
    assert lines[0] == "  0% original"
    assert re.fullmatch(r" 10% original, 2 of 20, 00:0\d left", lines[1])
    assert lines[11] == lines[22] == "  0% a?[2J.gguf"
    assert lines[-1] == "Half way."


@pytest.mark.parametrize("columns", ["100", "40"])
def test_steps_are_bars_on_a_terminal_that_vanish(monkeypatch, columns):
    text = measured(Terminal(), monkeypatch, columns)
    assert "original   0%" in text
    assert "\ra?[2J.gg" in text
    assert "\x1b[2J" not in text
    assert text.endswith("Half way.\n")
    assert max(map(len, re.split(r"[\r\n]", re.sub(r"\x1b\[\w", "", text)))) <= int(columns)
