"""The stage that reads rows before the threads need them: each row once, within its budget, and the same bytes."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from golden.families.case import build
from golden.families.checkpoints import CASES

from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.moves import RotaryInterleave
from quantize_cli.checkpoints.base import Extent
from quantize_cli.checkpoints.encodings.methods import unpacked
from quantize_cli.checkpoints.encodings.wrapped import Wrapped
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.checkpoints.safetensors import SafetensorsCheckpoint
from quantize_cli.checkpoints.stream_rows import HeldRows
from quantize_cli.errors import CheckpointError
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.planning.planner import make_plan
from quantize_cli.run import reading_ahead, rows, stored
from quantize_cli.run.executor import run
from quantize_cli.run.reading_ahead import reading_of
from quantize_cli.run.slabs import slabs_of

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(autouse=True)
def _nothing_is_read_in_vain(monkeypatch):
    """Tiny tensors have no rows that are far apart."""
    monkeypatch.setattr(stored, "GAP_BYTES", 0)
    monkeypatch.setattr(reading_ahead, "GAP_BYTES", 0)


class Far(Wrapped):
    """A checkpoint that is told to be far away; it counts how often each row of its files is read there."""

    def __init__(self, inner):
        super().__init__(inner, inner.infos)
        self.counts = {name: np.zeros(info.rows, np.int64) for name, info in inner.infos.items()}
        self.held = HeldRows()
        self.largest = 0
        self.stopped = False
        self.broken = None

    @property
    def stream(self):
        return self

    def received(self):
        return 7

    def sentences(self):
        return ["still there"]

    def stop(self):
        self.stopped = True

    def read(self, extent):
        name, start, stop = extent
        if name == self.broken:
            raise CheckpointError("gone")
        self.counts[name][start:stop] += 1
        data = self.inner.read_bytes(name, start, stop)
        self.largest = max(self.largest, data.nbytes)
        return data

    def hold(self, extent, held):
        assert held.shape[0] == extent.stop - extent.start
        self.held.add(extent, held)

    def forget(self, extent):
        self.held.drop(extent)

    def read_bytes(self, name, start, stop):
        held = self.held.find(name, start, stop)
        return self.read(Extent(name, start, stop)) if held is None else held

    def times(self):
        """How often rows were read: the number of rows for each count."""
        return Counter(np.concatenate([*self.counts.values()]).tolist())


def converted(checkpoint, format_name="q8_0", threads=2, observer=None, tokenizer=PRE_TOKENIZER, **options):
    output = BytesIO()
    plan = make_plan(checkpoint, find_format(format_name), tokenizer)
    run([plan], checkpoint, [[output]], threads=threads, observer=observer, **options)
    return output.getvalue()


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead") / "tiny"
    return make_checkpoint(folder, dtypes=("BF16", "F32"), num_hidden_layers=1, shards=2)


@pytest.fixture(scope="module")
def transposed(tmp_path_factory):
    """A checkpoint of 4 experts that are stored transposed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        import generate_checkpoint
        import transposed_experts

        patch.setitem(FAMILIES, generate_checkpoint.TRANSPOSED, transposed_experts.FAMILY)
        folder = tmp_path_factory.mktemp("transposed") / "model"
        generate_checkpoint.generate(folder, generate_checkpoint.SIZES["moe-tiny-transposed"])
        yield folder


@pytest.mark.parametrize(("request_bytes", "slab_weights"), [(5_000, 1 << 14), (20_000, 1 << 13), (4 << 20, 1 << 18)])
def test_each_row_is_read_once(small_llama, monkeypatch, request_bytes, slab_weights):
    """Even where slabs end in the middle of a head, whose rows are interleaved."""
    expected = converted(open_checkpoint(small_llama))
    monkeypatch.setattr(reading_ahead, "REQUEST_BYTES", request_bytes)
    far = Far(open_checkpoint(small_llama))
    assert converted(far, slab_weights=slab_weights) == expected
    assert set(far.times()) == {1}
    assert far.largest <= max(request_bytes, 4 * 512)


def test_bands_of_transposed_experts_are_read_once(transposed, monkeypatch):
    expected = converted(open_checkpoint(transposed), "f16")
    monkeypatch.setattr(rows, "BAND_BYTES", 1 << 16)  # eight bands for an expert
    far = Far(open_checkpoint(transposed))
    assert converted(far, "f16", slab_weights=1 << 13) == expected
    assert far.times()[0] == 0
    assert max(far.times()) <= 2  # gates and others are two tensors of the same rows


@pytest.mark.parametrize("case", ["Qwen3-FP8", "Llama-W4A16", "Llama-GPTQ", "Llama-BitNet", "gpt-oss-small"])
def test_codes_are_read_ahead_as_they_are_stored(case, tmp_path):
    """Each once, and what belongs to them too."""
    folder = build(CASES[case], tmp_path)
    far = Far(SafetensorsCheckpoint(folder))
    checkpoint = unpacked(far)
    assert checkpoint is not far
    tokenizer = CASES[case].vocabulary.pre_tokenizer
    kept = "mxfp4_moe" if case == "gpt-oss-small" else "f16"
    assert converted(checkpoint, kept, tokenizer=tokenizer) == converted(
        open_checkpoint(folder), kept, tokenizer=tokenizer
    )
    assert max(far.times()) == 1
    assert far.times()[1] > far.times()[0]


def test_what_is_beyond_the_budget_is_read_where_it_is_needed(transposed, monkeypatch):
    expected = converted(open_checkpoint(transposed), "f16")
    monkeypatch.setattr(reading_ahead, "AHEAD_BYTES", 1000)
    assert converted(Far(open_checkpoint(transposed)), "f16") == expected


def test_the_budget_holds_whoever_is_slow(small_llama, monkeypatch):
    """The bytes in memory, while slabs are released some time after they were given out."""
    monkeypatch.setattr(reading_ahead, "REQUEST_BYTES", 1 << 14)
    monkeypatch.setattr(reading_ahead, "AHEAD_BYTES", 1 << 17)
    far = Far(open_checkpoint(small_llama))
    reading = reading_of(far, Observer())
    plan = make_plan(far, find_format("q8_0"), PRE_TOKENIZER)
    most, out, order = 0, 0, []
    for slab in reading.ready(slabs_of([plan], 1 << 12)):
        order.append((slab.tensor.name, slab.start))
        most, out = max(most, vars(reading)["_bytes"]), out + 1
        if out > 4:
            reading.release()
    for _ in range(4):
        reading.release()
    assert order == [(slab.tensor.name, slab.start) for slab in slabs_of([plan], 1 << 12)]
    assert (1 << 16) < most <= (1 << 17) + (1 << 15)
    assert (vars(reading)["_bytes"], len(far.held)) == (0, 0)


def test_a_disk_is_read_by_the_threads_themselves(small_llama):
    checkpoint = open_checkpoint(small_llama)
    reading = reading_of(checkpoint, Observer())
    slabs = iter(())
    assert reading.ready(slabs) is slabs


def test_a_read_that_fails_ends_the_run_and_all_reads(small_llama):
    far = Far(open_checkpoint(small_llama))
    far.broken = "model.layers.0.mlp.down_proj.weight"
    with pytest.raises(CheckpointError, match="gone"):
        converted(far)
    assert far.stopped


def test_an_observer_hears_of_bytes_and_may_end_the_run(small_llama):
    class Ending(Observer):
        def streamed(self, nbytes):
            assert nbytes == 7
            raise KeyboardInterrupt

    far = Far(open_checkpoint(small_llama))
    with pytest.raises(KeyboardInterrupt):
        converted(far, observer=Ending())
    assert far.stopped


def test_extents_are_what_is_read(arrays, planned):
    """Of rows that moves rearrange: everything is predicted, nothing else."""
    source = arrays(a=np.arange(128 * 4, dtype=np.uint16).reshape(128, 4))
    tensor = planned(source, (128, 4), type="BF16", moves=(RotaryInterleave(64),), source_dtype="BF16")
    held = rows.SourceRows(source)
    for start, stop in [(0, 128), (0, 10), (60, 70), (5, 6)]:
        source.reads.clear()
        held.rows(tensor, start, stop)
        assert [*map(tuple, held.extents(tensor, start, stop))] == source.reads
