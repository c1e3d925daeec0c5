"""How slabs go through threads: all threads are fed, memory is bounded, and neither changes what comes out."""

from __future__ import annotations

from threading import Event, Lock

import numpy as np
import pytest

from quantize_cli.measure.sums import SUMS, merge
from quantize_cli.run import executor
from quantize_cli.run.derive import Result
from quantize_cli.run.slabs import SLAB_WEIGHTS


class Sink:
    """Counts rows, of one byte each; header and padding are not rows."""

    def __init__(self):
        self.rows = 0

    def write(self, data):
        if isinstance(data, memoryview):
            self.rows += len(data)


@pytest.fixture
def run_with(monkeypatch, planned, arrays, plan_of):
    """(derive, shapes, ...) -> what `run` measures where slabs are made by `derive`; nothing is as large as it says."""

    def run(derive, *shapes, sink=None, **options):
        monkeypatch.setattr(executor, "Derive", lambda *_: derive)
        source = arrays(source=np.zeros(1, np.float32))
        plan = plan_of(*(planned(source, shape) for shape in shapes))
        return executor.run([plan], source, [[sink or Sink()]], **options)[0].sums

    return run


def nothing(slab):
    """One byte and no error for each row."""
    rows = slab.stop - slab.start
    return [Result(np.zeros((rows, 1), np.uint8), np.zeros((rows, SUMS)))]


def test_the_borders_of_slabs_do_not_depend_on_threads(run_with):
    def slabs(threads):
        seen = []

        def derive(slab):
            seen.append((slab.tensor.shape, slab.start, slab.stop))
            return nothing(slab)

        run_with(derive, (3, 1000, 512), (SLAB_WEIGHTS * 3,), (5, SLAB_WEIGHTS * 2), threads=threads)
        return sorted(seen)

    assert len(slabs(1)) == 3 * 2 + 1 + 5
    assert slabs(1) == slabs(2) == slabs(64)


@pytest.mark.parametrize("threads", [2, 16, 64])
def test_a_slow_slab_does_not_stop_the_other_threads(threads, run_with):
    others = 2 * threads - 1
    done = Event()
    made = []
    lock = Lock()

    def derive(slab):
        if slab.first:
            assert done.wait(timeout=60)
        with lock:
            made.append(slab.start)
            if len(made) == others:
                done.set()
        return nothing(slab)

    run_with(derive, (4 * threads, SLAB_WEIGHTS), threads=threads)
    assert made.index(0) >= others


@pytest.mark.parametrize(("row_slabs", "most"), [(1, 128), (4, 32), (100, 2), (1000, 1)])
def test_the_weights_in_flight_are_bounded(row_slabs, most, run_with):
    """However many threads there are: rows of many slabs are slabs too."""
    sink = Sink()
    lock = Lock()
    begun = []
    in_flight = []

    def derive(slab):
        with lock:
            begun.append(slab.start)
            in_flight.append(len(begun) - sink.rows)
        return nothing(slab)

    run_with(derive, (300, row_slabs * SLAB_WEIGHTS), threads=100, sink=sink)
    assert len(begun) == 300
    assert 1 <= max(in_flight) <= most


@pytest.mark.parametrize("slab_weights", [1, 30, 1000])
def test_sums_are_merged_expert_by_expert(slab_weights, run_with):
    """Slabs change no digit."""
    table = np.random.default_rng(0).standard_normal((6 * 7, SUMS))

    def derive(slab):
        return [Result(np.zeros((slab.stop - slab.start, 1), np.uint8), table[slab.start : slab.stop])]

    sums = run_with(derive, (2, 3, 7, 5), (42, 5), slab_weights=slab_weights)
    stacked = merge(np.stack([merge(table[start : start + 7]) for start in range(0, 42, 7)]))
    np.testing.assert_array_equal(sums, [stacked, merge(table)])


def test_what_fails_ends_the_run(run_with):
    begun = []

    def derive(slab):
        begun.append(slab.start)
        if slab.start == 3:
            raise ValueError("row 3")
        return nothing(slab)

    with pytest.raises(ValueError, match="row 3"):
        run_with(derive, (1000, SLAB_WEIGHTS), threads=2)
    assert len(begun) < 20
