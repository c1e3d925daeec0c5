"""A run that was stopped and is started again ends with the same bytes and the same report."""

from __future__ import annotations

import random
import re
import resource
import signal
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from checkpoint_factory import make_checkpoint
from resuming import OPTIONS, figures, hidden, killed_after, run

from quantize_cli import quantize
from quantize_cli.errors import CheckpointError, OutputError
from quantize_cli.measure.sums import SUMS
from quantize_cli.observer import Observer
from quantize_cli.outputs.journal import Journal
from quantize_cli.run import executor, progress
from quantize_cli.run.derive import Result
from quantize_cli.run.progress import Progress

KINDS = {
    "single": ("q8_0", {}),
    "ladder": (["q8_0", "f16", "bf16"], {}),
    "split": (["q8_0", "f16"], {"split_max_size": 600_000}),
}


@pytest.fixture
def often(monkeypatch):
    """Note the progress wherever it can be noted."""
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    monkeypatch.setattr(progress, "_PART", 0.0)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@dataclass(frozen=True)
class Whole:
    """What a run makes that is not stopped."""

    contents: dict[str, bytes]
    figures: list[dict[str, Any]]
    weights: list[int]  #: of each slab


@pytest.fixture(scope="module")
def whole(llama, tmp_path_factory):
    """kind -> what a run of the tiny Llama makes."""

    @cache
    def of(kind):
        formats, options = KINDS[kind]
        folder = tmp_path_factory.mktemp("whole")
        reports, told = run(llama, formats, folder, **options)
        return Whole(contents(folder), list(map(figures, reports)), told.weights)

    return of


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stop(Observer):
    """Ends a run after a number of slabs."""

    def __init__(self, slabs, error):
        self.left, self.error = slabs, error

    def weights_done(self, weights):
        self.left -= 1
        if self.left < 0:
            raise self.error


def stopped_after(slabs, model, formats, output, error=None, **options):
    error = error or KeyboardInterrupt()
    with pytest.raises(type(error)):
        quantize(model, formats, output, observer=Stop(slabs, error), **{**OPTIONS, **options})


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_kills_change_neither_bytes_nor_reports(kind, tmp_path):
    llama = make_checkpoint(tmp_path / "llama", num_hidden_layers=4)
    formats, options = KINDS[kind]
    (tmp_path / "whole").mkdir()
    whole, told = run(llama, formats, tmp_path / "whole", **options)
    random_ = random.Random(kind)
    points = random_.sample(range(len(told.weights)), 20)
    for point in points:
        folder = tmp_path / str(point)
        folder.mkdir()
        assert killed_after(point, llama, formats, folder, **options)
        assert all(path in hidden(folder) for path in folder.iterdir())
        reports, told = run(llama, formats, folder, **options)
        assert any("Going on" in said for said in told.noted_sentences) == (point > 0)
        assert contents(folder) == contents(tmp_path / "whole")
        assert list(map(figures, reports)) == list(map(figures, whole))


@pytest.mark.slow
def test_a_run_may_be_killed_again_and_again(llama, out, whole):
    formats, _ = KINDS["ladder"]
    kills = 0
    while killed_after(4, llama, formats, out):  # the slabs that are there count as one
        kills += 1
    assert kills >= 4
    assert contents(out) == whole("ladder").contents


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_from_where_it_was_stopped(kind, llama, out, whole):
    formats, options = KINDS[kind]
    expected = whole(kind)
    done = 0
    for more in (1, 3, len(expected.weights) // 2):
        stopped_after(more + (done > 0), llama, formats, out, **options)
        done += more
    assert all(path in hidden(out) for path in out.iterdir())
    reports, told = run(llama, formats, out, **options)
    assert told.weights == [sum(expected.weights[:done]), *expected.weights[done:]]
    assert contents(out) == expected.contents
    assert list(map(figures, reports)) == expected.figures
    (said,) = told.noted_sentences
    assert re.search(r"^Going on with .*: an earlier run was stopped after [\d,]+ bytes, which are right\.$", said)


class Notes:
    """Keeps the notes of a run."""

    def __init__(self, states=()):
        self.states = list(states)

    def record(self, state):
        self.states.append(state)


class Rows:
    """Counts rows, of one byte each; header and padding are not rows."""

    rows = 0

    def write(self, data):
        self.rows += len(data) if isinstance(data, memoryview) else 0


@pytest.mark.usefixtures("often")
def test_experts_are_counted_one_by_one(monkeypatch, planned, arrays, plan_of):
    """A stack of experts may take an hour. Between two of them a run can go on too, with the same digits."""
    table = np.random.default_rng(0).standard_normal((6 * 7, SUMS))

    def derive(slab):
        return [Result(np.zeros((slab.stop - slab.start, 1), np.uint8), table[slab.start : slab.stop])]

    monkeypatch.setattr(executor, "Derive", lambda _checkpoint, _importance, _chosen: derive)
    source = arrays(source=np.zeros(1, np.float32))
    plan = plan_of(*(planned(source, shape) for shape in ((2, 3, 7, 5), (42, 5))))

    def sums_after(notes):
        sink = Rows()
        (result,) = executor.run([plan], source, [[sink]], threads=1, slab_weights=15, progress=Progress(notes))
        return sink.rows, result.sums

    notes = Notes()
    rows, sums = sums_after(notes)
    assert rows == 84
    assert len(notes.states) == 6 + 1
    for count in range(1, 8):
        rows, again = sums_after(Notes(notes.states[:count]))
        assert rows == 84 - 7 * min(count, 6) - 42 * (count == 7)
        np.testing.assert_array_equal(again, sums)


@pytest.mark.usefixtures("often")
def test_the_time_of_all_runs_is_the_reports(llama, out, monkeypatch):
    stopped_after(3, llama, "q8_0", out)
    seconds = []
    monkeypatch.setattr(Progress, "start", _with_hours(Progress.start, seconds))
    report = quantize(llama, "q8_0", out, **OPTIONS)
    assert report.totals.seconds > 3600
    assert seconds[0] > 0


def _with_hours(start, seconds):
    def changed(self, plans):
        found = start(self, plans)
        seconds.append(self.earlier_seconds)
        self.earlier_seconds += 3600
        return found

    return changed


# What starts anew.


@pytest.mark.usefixtures("often")
def test_a_changed_source_starts_anew_and_says_so(own_llama, out, tmp_path):
    stopped_after(3, own_llama, "q8_0", out)
    weights = own_llama / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x3c")
    _, told = run(own_llama, "q8_0", out)
    assert told.noted_sentences == [
        f"An earlier run to {out / 'tiny-llama-Q8_0.gguf'} was stopped, but the source changed; starting anew."
    ]
    (tmp_path / "fresh").mkdir()
    run(own_llama, "q8_0", tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.usefixtures("often")
def test_another_version_starts_anew_and_says_so(llama, out, monkeypatch):
    monkeypatch.setattr(progress, "GENERATOR", "quantize-cli 0.0.1")
    stopped_after(3, llama, "q8_0", out)
    monkeypatch.undo()
    _, told = run(llama, "q8_0", out)
    assert "but the version of this program changed; starting anew." in told.noted_sentences[0]


@pytest.mark.usefixtures("often")
def test_another_option_starts_anew_and_leaves_what_is_there(llama, out):
    stopped_after(3, llama, "q8_0", out)
    left = hidden(out)
    _, told = run(llama, "q8_0", out, pure=True, tensor_types={"attn_v": "f16"})
    (said,) = told.noted_sentences
    assert said.startswith(
        "An earlier run to tiny-llama-Q8_0.gguf was stopped, but its model or its options were others, so this run "
        f"starts anew; delete {left[1].with_suffix('')}* ("
    )
    assert hidden(out) == left
    _, told = run(llama, "f16", out)
    assert "is an unfinished run to tiny-llama-Q8_0.gguf; repeat its command" in told.noted_sentences[0]


@pytest.mark.usefixtures("often")
def test_restart_starts_anew(llama, out):
    stopped_after(3, llama, "q8_0", out)
    _, told = run(llama, "q8_0", out, restart=True)
    assert told.noted_sentences == []
    assert [path.name for path in out.iterdir()] == ["tiny-llama-Q8_0.gguf"]


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _more(path):
    path.write_bytes(path.read_bytes() + b"0123456789abcdef {")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("damage", [_cut, _flip, _more])
@pytest.mark.parametrize("suffix", [".journal", "-0.tmp", "-1.tmp"])
def test_what_is_damaged_is_not_used(suffix, damage, llama, out, whole):
    formats, _ = KINDS["ladder"]
    expected = whole("ladder")
    stopped_after(8, llama, formats, out)
    (path,) = [path for path in hidden(out) if path.name.endswith(suffix)]
    damage(path)
    reports, told = run(llama, formats, out)
    assert told.weights[1:] == expected.weights[-len(told.weights[1:]) :]
    assert contents(out) == expected.contents
    assert list(map(figures, reports)) == expected.figures
    # That a line, or the bytes behind the last record, are incomplete is what a kill leaves anyway.
    said = any("is damaged" in said for said in told.noted_sentences)
    assert said == (damage is _flip or (damage is _cut and suffix != ".journal"))


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("suffix", [".journal", ".tmp"])
def test_what_is_missing_is_made_anew(suffix, llama, out):
    stopped_after(8, llama, "q8_0", out)
    (path,) = [path for path in hidden(out) if path.suffix == suffix]
    path.unlink()
    run(llama, "q8_0", out)
    assert [path.name for path in out.iterdir()] == ["tiny-llama-Q8_0.gguf"]


@pytest.mark.usefixtures("often")
def test_notes_that_do_not_fit_are_a_sentence(llama, out):
    stopped_after(3, llama, "q8_0", out)
    (path,) = [path for path in hidden(out) if path.suffix == ".journal"]
    journal = Journal(path)
    record = journal.held.records[-1]
    record.state["plans"][0]["sums"] = "AAAA"
    journal.keep(len(journal.held.records) - 1)
    journal.add(record)
    journal.close()
    with pytest.raises(OutputError, match="does not fit this one; start anew with --restart"):
        quantize(llama, "q8_0", out, **OPTIONS)


# What stays, and what does not.


def caused(cause):
    error = OutputError("refused.")
    error.__cause__ = cause
    return error


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(143), SystemExit(129), MemoryError(), OSError(), caused(OSError())],
    ids=["INT", "TERM", "HUP", "memory", "system", "disk"],
)
def test_what_is_not_the_inputs_fault_keeps_what_is_done(error, llama, out):
    stopped_after(3, llama, "q8_0", out, error)
    left = hidden(out)
    assert [path.suffix for path in left] == [".tmp", ".journal"]
    (note,) = error.__notes__
    size = left[0].stat().st_size
    assert f"tiny-llama-Q8_0.gguf is kept ({size:,} bytes): run the same again to go on, add --restart to" in note
    assert f"start anew, or delete {left[1].with_suffix('')}*." in note


@pytest.mark.usefixtures("often")
def test_a_full_disk_keeps_what_is_done(llama, out, whole):
    """The limit on a file's size stands for the disk's."""
    formats, _ = KINDS["ladder"]
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, usual[1]))
    try:
        with pytest.raises(OutputError, match=r"F16\.gguf cannot be written \(File too large\)") as raised:
            quantize(llama, formats, out, **OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "is kept" in raised.value.__notes__[0]
    assert [path.suffix for path in hidden(out)] == [".tmp", ".tmp", ".tmp", ".journal"]
    reports, told = run(llama, formats, out)
    assert "Going on" in told.noted_sentences[0]
    assert contents(out) == whole("ladder").contents
    assert list(map(figures, reports)) == whole("ladder").figures


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("error", [ValueError("of an observer"), CheckpointError("NaN."), SystemExit(1)])
def test_what_would_fail_again_leaves_nothing(error, llama, out):
    stopped_after(3, llama, "q8_0", out, error)
    assert list(out.iterdir()) == []


def test_nothing_is_kept_where_nothing_is_noted(llama, out):
    stopped_after(3, llama, "q8_0", out)
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("often")
def test_weights_that_cannot_be_quantized_leave_nothing(own_llama, out):
    weights = own_llama / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\x80\x7f")  # an infinite bfloat16
    with pytest.raises(CheckpointError, match="holds inf"):
        quantize(own_llama, "q8_0", out, **OPTIONS)
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("often")
def test_room_counts_what_is_there(llama, out, monkeypatch):
    stopped_after(8, llama, "q8_0", out)
    there = sum(path.stat().st_size for path in hidden(out) if path.suffix == ".tmp")
    needed = []
    monkeypatch.setattr("quantize_cli.job.check_room", lambda sizes: needed.append(sum(sizes.values())))
    report = quantize(llama, "q8_0", out, **OPTIONS)
    assert needed == [report.totals.file_bytes - there]


# Two runs at once.


class Second(Observer):
    """Starts another run in the middle of one."""

    def __init__(self, call):
        self.call, self.raised = call, None

    def tensor_started(self, tensor):
        if self.raised is None:
            with pytest.raises(OutputError) as raised:
                self.call()
            self.raised = str(raised.value)


@pytest.mark.parametrize("options", [{}, {"pure": True, "tensor_types": {"attn_v": "f16"}}])
@pytest.mark.parametrize("name", ["model.gguf", "link.gguf"])
def test_a_second_run_to_the_same_output_is_refused(name, options, llama, out):
    (out / "link.gguf").symlink_to("model.gguf")
    second = Second(lambda: quantize(llama, "q8_0", out / name, **options, **OPTIONS))
    quantize(llama, "q8_0", out / "model.gguf", observer=second, **OPTIONS)
    assert second.raised == (
        f"Another run is writing {out / name}; wait until it has ended, or choose another path with -o."
    )
    assert sorted(path.name for path in out.iterdir()) == ["link.gguf", "model.gguf"]


def test_a_second_run_beside_it_is_not(llama, out):
    class Beside(Observer):
        done = False

        def tensor_started(self, tensor):
            if not self.done:
                self.done = True
                quantize(llama, "q8_0", out / "b.gguf", **OPTIONS)

    quantize(llama, "q8_0", out / "a.gguf", observer=Beside(), **OPTIONS)
    assert sorted(path.name for path in out.iterdir()) == ["a.gguf", "b.gguf"]
    np.testing.assert_equal((out / "a.gguf").read_bytes(), (out / "b.gguf").read_bytes())
