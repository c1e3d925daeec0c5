"""The run: its bytes depend on the plan and the checkpoint alone, and its figures on those bytes alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import load_file, save_file

from quantize_cli import open_checkpoint, quantize
from quantize_cli.architectures.moves import RotaryInterleave
from quantize_cli.errors import CheckpointError
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.planning.planner import make_plan
from quantize_cli.run.derive import Derive
from quantize_cli.run.executor import run

OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 2}
#: Every block type of 256 and most of 32; the checkpoint has rows of 256 and of 400, which none of them divides.
FORMATS = ("q4_k_m", "iq4_xs", "q3_k_m", "q2_k", "q8_0", "f16", "bf16", "f32")
QUICK = ("q8_0", "q4_k_m")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Three dtypes, rows of several lengths, more rows than fit one small slab."""
    folder = tmp_path_factory.mktemp("mixed") / "mixed-llama"
    return make_checkpoint(folder, dtypes=("BF16", "F16", "F32"), intermediate_size=416, num_hidden_layers=2)


def converted(folder, format_name, **options):
    """The file's bytes and what the run measured."""
    checkpoint = open_checkpoint(folder)
    buffer = BytesIO()
    plan = make_plan(checkpoint, find_format(format_name), PRE_TOKENIZER)
    (result,) = run([plan], checkpoint, [[buffer]], **options)
    return buffer.getvalue(), result.sums


# One file, however it is made.


@pytest.mark.parametrize("format_name", QUICK)
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_neither_a_byte_nor_a_figure(threads, format_name, mixed):
    data, sums = converted(mixed, format_name, threads=threads)
    alone, sums_alone = converted(mixed, format_name, threads=1)
    assert data == alone
    np.testing.assert_array_equal(sums, sums_alone)


@pytest.mark.parametrize("format_name", QUICK)
@pytest.mark.parametrize("slab_weights", [1, 257, 1_000, 4_097, 70_001, 1 << 30])
def test_slabs_change_neither_a_byte_nor_a_figure(slab_weights, format_name, mixed):
    data, sums = converted(mixed, format_name, threads=2, slab_weights=slab_weights)
    usual, sums_usual = converted(mixed, format_name, threads=2)
    assert data == usual
    np.testing.assert_array_equal(sums, sums_usual)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_shards_change_no_byte(family, tmp_path):
    """The folder's name is in the metadata, hence the same name in two places."""
    whole = make_checkpoint(tmp_path / "whole" / "tiny", family, num_hidden_layers=1)
    sharded = make_checkpoint(tmp_path / "sharded" / "tiny", family, num_hidden_layers=1, shards=3)
    assert len([*sharded.glob("*.safetensors")]) == 3
    assert converted(whole, "q8_0")[0] == converted(sharded, "q8_0")[0]


def test_a_stream_gets_the_files_bytes(mixed, tmp_path):
    stream = BytesIO()
    in_stream = quantize(mixed, "q8_0", stream, **OPTIONS)
    in_file = quantize(mixed, "q8_0", tmp_path / "model.gguf", **OPTIONS)
    assert stream.getvalue() == (tmp_path / "model.gguf").read_bytes()
    assert in_stream.tensors == in_file.tensors
    assert in_stream.types == in_file.types
    assert in_stream.totals.error == in_file.totals.error


def test_the_second_run_writes_the_same(mixed):
    assert converted(mixed, "q4_k_m")[0] == converted(mixed, "q4_k_m")[0]


def test_source_dtypes_that_hold_the_same_values_give_the_same_tensors(tmp_path):
    half = make_checkpoint(tmp_path / "half" / "tiny", dtypes=("BF16",), num_hidden_layers=1)
    full = make_checkpoint(tmp_path / "full" / "tiny", dtypes=("F32",), num_hidden_layers=1)
    weights = load_file(half / "model.safetensors")
    save_file({name: array.astype(np.float32) for name, array in weights.items()}, full / "model.safetensors")
    assert converted(half, "q4_k_m")[0] == converted(full, "q4_k_m")[0]


# What the report says, against an independent reader.


def sources(folder):
    """The checkpoint's tensors as float64, rows of queries and keys in GGUF's order, by Hugging Face name."""
    for name, array in load_file(folder / "model.safetensors").items():
        wide = array.astype(np.float64)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            # A head's 64 rows: the two halves become pairs.
            heads = wide.reshape(-1, 2, 32, wide.shape[1])
            wide = np.stack([heads[:, 0], heads[:, 1]], axis=2).reshape(wide.shape)
        yield name, wide


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_reports_errors_are_those_of_an_independent_reader(format_name, mixed, tmp_path):
    output = tmp_path / "model.gguf"
    report = quantize(mixed, format_name, output, **OPTIONS)
    source = dict(sources(mixed))
    assert [tensor.name for tensor in report.tensors] == [tensor.name for tensor in GGUFReader(output).tensors]
    x2 = d2 = 0.0
    for read, told in zip(GGUFReader(output).tensors, report.tensors, strict=True):
        assert (told.type, told.bytes) == (read.tensor_type.name, read.n_bytes)
        x = source[told.sources[0]]
        y = dequantize(read.data, read.tensor_type).astype(np.float64).reshape(x.shape)
        assert told.shape == x.shape
        d = x - y
        rms = np.sqrt(np.mean(x**2))
        assert told.error.rmse == pytest.approx(np.sqrt(np.mean(d**2)), rel=1e-7)
        assert told.error.relative_rmse == pytest.approx(np.sqrt(np.mean(d**2)) / rms, rel=1e-7)
        assert told.error.max_abs_error == pytest.approx(np.abs(d).max(), rel=1e-7)
        assert told.error.cosine_similarity == pytest.approx(
            np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2)), rel=1e-8
        )
        if d.any():
            assert told.error.sqnr_db == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum(d**2)), rel=1e-7)
        else:
            assert told.error.sqnr_db is None
        x2, d2 = x2 + np.sum(x**2), d2 + np.sum(d**2)
    assert report.totals.error.rmse == pytest.approx(np.sqrt(d2 / report.totals.weights), rel=1e-7, abs=0)
    assert report.totals.error.relative_rmse == pytest.approx(np.sqrt(d2 / x2), rel=1e-7, abs=0)


def test_the_reports_sums_add_up(mixed, tmp_path):
    output = tmp_path / "model.gguf"
    report = quantize(mixed, "q4_k_m", output, **OPTIONS)
    assert report.totals.file_bytes == output.stat().st_size
    assert report.totals.bytes == sum(t.bytes for t in report.tensors) == sum(t.bytes for t in report.types)
    assert report.totals.weights == sum(t.weights for t in report.types)
    assert report.totals.source_bytes == sum(t.source_bytes for t in report.tensors)
    assert report.totals.source_bytes == sum(array.nbytes for array in load_file(mixed / "model.safetensors").values())
    assert [t.bytes for t in report.types] == sorted((t.bytes for t in report.types), reverse=True)
    assert report.totals.threads == 2


def test_llama_cpp_reads_and_runs_the_file(tmp_path):
    xllamacpp = pytest.importorskip("xllamacpp")
    folder = make_checkpoint(tmp_path / "tiny")
    quantize(folder, "q4_k_m", tmp_path / "tiny.gguf", **OPTIONS)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(tmp_path / "tiny.gguf")
    parameters.n_ctx, parameters.n_predict, parameters.warmup, parameters.n_parallel = 64, 4, False, 1
    server = xllamacpp.Server(parameters)
    answer = server.handle_completions({"prompt": "It is a truth", "max_tokens": 4, "temperature": 0})
    assert answer["usage"]["completion_tokens"] == 4


# Weights that are not numbers.


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_weight_that_is_no_number_is_named(value, dtype, tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", dtypes=(dtype,), num_hidden_layers=1)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name][200, 17] = weights[name][100, 250] = weights[name][100, 3] = value
    save_file(weights, folder / "model.safetensors")
    for slab_weights in (1, 1 << 19):
        with pytest.raises(CheckpointError) as error:
            converted(folder, "q8_0", slab_weights=slab_weights)
        assert f"{name} in model.safetensors holds {value} at index [100, 3]" in str(error.value)


def test_a_vector_that_holds_no_number_is_named(own_llama, tmp_path):
    weights = load_file(own_llama / "model.safetensors")
    weights["model.norm.weight"][7] = ml_dtypes.bfloat16(np.nan)
    save_file(weights, own_llama / "model.safetensors")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight .*nan at index \[7\]"):
        quantize(own_llama, "f32", out / "model.gguf", **OPTIONS)
    assert [*out.iterdir()] == []


def test_of_several_bad_tensors_the_first_in_the_file_is_named(own_llama):
    weights = load_file(own_llama / "model.safetensors")
    for name in ("model.layers.1.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"):
        weights[name][0, 0] = np.inf
    save_file(weights, own_llama / "model.safetensors")
    for threads in (1, 8):
        with pytest.raises(CheckpointError, match=r"layers\.0\.mlp\.down_proj"):
            converted(own_llama, "q8_0", threads=threads)


@pytest.mark.parametrize(("format_name", "weight"), [("f16", 1e5), ("q8_0", 1e38), ("q4_k_m", 1e38)])
def test_a_weight_that_the_type_cannot_hold_is_refused(format_name, weight, own_llama, tmp_path):
    """llama.cpp would neither write nor load the infinite scale."""
    weights = load_file(own_llama / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][3, 4] = weight
    save_file(weights, own_llama / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"blk\.0\.ffn_up\.weight has weights too large.*--tensor-type"):
        quantize(own_llama, format_name, tmp_path / "model.gguf", **OPTIONS)
    assert not (tmp_path / "model.gguf").exists()


def test_a_checkpoint_that_changes_meanwhile_is_an_error(own_llama, tmp_path):
    class Truncate(Observer):
        def started(self, plan):
            weights = own_llama / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-1000])

    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CheckpointError, match="has changed"):
        quantize(own_llama, "q8_0", out / "model.gguf", **OPTIONS, observer=Truncate())
    assert [*out.iterdir()] == []


# What an observer is told.


class Recorder(Observer):
    def __init__(self):
        self.events = []

    def started(self, plan):
        self.events.append(("started", plan, threading.get_ident()))

    def tensor_started(self, tensor):
        self.events.append(("tensor", tensor, threading.get_ident()))

    def weights_done(self, weights):
        self.events.append(("weights", weights, threading.get_ident()))


@pytest.mark.parametrize("slab_weights", [1_000, 1 << 19])
def test_events_come_in_order_and_from_the_callers_thread(slab_weights, mixed):
    recorder = Recorder()
    converted(mixed, "q8_0", threads=3, observer=recorder, slab_weights=slab_weights)
    (first, plan, _), *events = recorder.events
    assert first == "started"
    assert {thread for *_, thread in recorder.events} == {threading.get_ident()}
    told = []
    for kind, value, _ in events:
        if kind == "tensor":
            told.append((value, 0))
        else:
            told[-1] = (told[-1][0], told[-1][1] + value)
    assert told == [(tensor, tensor.weights) for tensor in plan.tensors]


def test_an_observer_that_fails_stops_the_run_and_leaves_nothing(mixed, tmp_path):
    class Failing(Observer):
        def tensor_started(self, tensor):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(mixed, "q8_0", tmp_path / "model.gguf", **OPTIONS, observer=Failing())
    assert [*tmp_path.iterdir()] == []


# Memory.


@pytest.fixture
def ahead(mixed, monkeypatch):
    """A function: run, and tell the most slabs and weights that had been read and not yet written at any time."""

    def run_and_count(**options):
        checkpoint = open_checkpoint(mixed)
        lock = threading.Lock()
        slabs, most_slabs, weights, most_weights = 0, 0, 0, 0

        class CountingDerive(Derive):
            def __call__(self, slab):
                nonlocal slabs, most_slabs, weights, most_weights
                with lock:
                    slabs, weights = slabs + 1, weights + slab.weights
                    most_slabs, most_weights = max(most_slabs, slabs), max(most_weights, weights)
                return super().__call__(slab)

        class Counting(Observer):
            def weights_done(self, written):
                nonlocal slabs, weights
                with lock:
                    slabs, weights = slabs - 1, weights - written

        monkeypatch.setattr("quantize_cli.run.executor.Derive", CountingDerive)
        plan = make_plan(checkpoint, find_format("q8_0"), PRE_TOKENIZER)
        run([plan], checkpoint, [[BytesIO()]], observer=Counting(), **options)
        assert slabs == weights == 0
        return most_slabs, most_weights

    return run_and_count


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_more_slabs_are_read_than_two_a_thread_ahead_of_what_is_written(threads, ahead):
    """However slow the output is, what has been read and not yet written stays bounded."""
    slabs, _ = ahead(threads=threads, slab_weights=1_000)
    assert slabs <= 2 * threads


def test_many_threads_share_the_room_for_weights(ahead, monkeypatch):
    monkeypatch.setattr("quantize_cli.run.executor.WEIGHTS_IN_FLIGHT", 40_000)
    _, weights = ahead(threads=50, slab_weights=1_000)
    assert 1_000 < weights <= 40_000 + 1_000


def test_no_more_is_read_than_a_slab_needs_but_for_a_heads_rows(mixed):
    """The rows of a slab of q or k lie in both halves of a head, whose rows between are read with them."""
    checkpoint = open_checkpoint(mixed)
    plan = make_plan(checkpoint, find_format("q8_0"), PRE_TOKENIZER)
    largest = {}

    class Measuring:
        infos = checkpoint.infos
        stream = None

        def read_bytes(self, name, start, stop):
            largest[name] = max(largest.get(name, 0), (stop - start) * self.infos[name].shape[-1])
            return checkpoint.read_bytes(name, start, stop)

    run([plan], Measuring(), [[BytesIO()]], threads=2, slab_weights=1_000)
    for tensor in plan.tensors:
        rows = 2 * 64 if tensor.moves else 1
        assert largest[tensor.sources[0]] <= max(1_000, rows * tensor.shape[-1])


def test_the_sink_gets_the_header_first_and_then_slabs(mixed):
    """A pipe's reader can begin at once, and no write is larger than a slab of float32."""
    written = []

    class Sizes:
        def write(self, data):
            written.append(len(data))

    checkpoint = open_checkpoint(mixed)
    plan = make_plan(checkpoint, find_format("f32"), PRE_TOKENIZER)
    run([plan], checkpoint, [[Sizes()]], threads=2, slab_weights=64 * 256)
    (file,) = plan.files
    assert written[0] == len(file.header)
    assert max(written[1:]) <= 4 * 64 * 416
    assert sum(written) == len(file.header) + file.data_bytes


# The permutation of a whole tensor is that of its slabs.


def test_heads_are_interleaved_alike_in_every_slab(mixed):
    checkpoint = open_checkpoint(mixed)
    plan = make_plan(checkpoint, find_format("f32"), PRE_TOKENIZER)
    tensor = next(tensor for tensor in plan.tensors if tensor.name == "blk.1.attn_q.weight")
    assert tensor.moves == (RotaryInterleave(64),)
    file = replace(plan.files[0], tensors=(replace(tensor, offset=0),))
    alone = replace(plan, files=(file,))
    stored = load_file(mixed / "model.safetensors")[tensor.sources[0]].astype(np.float32)
    for slab_weights in (1, 64 * 256, 100 * 256, 1 << 19):
        buffer = BytesIO()
        run([alone], checkpoint, [[buffer]], slab_weights=slab_weights)
        found = np.frombuffer(buffer.getvalue()[len(file.header) :], np.float32).reshape(tensor.shape)
        np.testing.assert_array_equal(found[::2], np.concatenate([stored[h : h + 32] for h in range(0, 256, 64)]))
        np.testing.assert_array_equal(found[1::2], np.concatenate([stored[h : h + 32] for h in range(32, 256, 64)]))


def test_the_library_says_nothing(mixed, tmp_path):
    """Not on standard output and not on standard error: what there is to say goes to the observer."""
    code = f"""
from pathlib import Path
from quantize_cli import quantize
quantize({str(mixed)!r}, "q8_0", Path({str(tmp_path / "model.gguf")!r}), pre_tokenizer="gpt-2")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert Path(tmp_path / "model.gguf").is_file()
