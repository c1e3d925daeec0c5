"""Kernels are compiled before the run, each one that the run needs and no other, in processes if there are any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from select import select
from types import SimpleNamespace
from typing import Any, cast

import pytest
from checkpoint_factory import make_checkpoint
from imatrix_factory import squares, write_imatrix

import quantize_cli
from quantize_cli import plan
from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.mixes.find import find_format
from quantize_cli.run import workers
from quantize_cli.run.ahead import KernelsAhead
from quantize_cli.run.kernels import Kernel, kernels_of_plans

ROOT = Path(quantize_cli.__file__).parents[1]
PRE = {"pre_tokenizer": "gpt-2"}

#: Prepares two kernels; prints what the observer heard, and how often one of them was found and had to be compiled.
PREPARE = """
import json
from quantize_cli.observer import Observer
from quantize_cli.run import ahead, compiling, workers
from quantize_cli.run.kernels import Kernel
from quantize_cli.simd.sixteen_bits import _to_bf16

class Recorder(Observer):
    def noted(self, sentence):
        heard.append(sentence)
    def compiling(self, types, *, kept):
        heard.append(types)
    def compiled(self, seconds, *, kept):
        heard.append(seconds > 0)
        heard.append("kept" if kept else "lost")

heard = []
ahead.available_threads = lambda: 2
{change}
seconds = compiling.prepare([Kernel("quantize", "BF16"), Kernel("read", "BF16")], Recorder())
assert (seconds > 0) == (True in heard)
stats = _to_bf16.stats if hasattr(_to_bf16, "stats") else None
print(json.dumps([heard, stats and [sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]]))
"""


def prepared(base: Path, change: str = "", **environment: str) -> list[Any]:
    """What a process prints that prepares with its cache in `base`."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE.format(change=change)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(base), "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(json.loads(done.stdout))


@pytest.mark.slow
def test_processes_compile_and_the_run_loads(tmp_path):
    assert prepared(tmp_path) == [[["BF16"], True, "kept"], [1, 0]]
    assert prepared(tmp_path) == [[], [1, 0]], "a second run hears of nothing"
    first, *_ = tmp_path.rglob("*.kernel")
    first.unlink()
    assert prepared(tmp_path)[0] == [["BF16"], True, "kept"], "what is missing is compiled"


BROKEN = {
    "a worker that ends": "workers._START = 'raise SystemExit'",
    "a worker that talks": "workers._START = 'print(1, flush=True)'",
    "no process": "def none(*args, **options): raise OSError(11, 'no process')\nworkers.subprocess.Popen = none",
    "Python inside of a program": "workers.sys.executable = '/usr/bin/editor'",
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
def test_without_processes_the_run_compiles(tmp_path, broken):
    assert prepared(tmp_path, BROKEN[broken]) == [[["BF16"], True, "kept"], [0, 1]]


def test_processes_share_a_private_place_where_the_cache_cannot_be_kept(tmp_path):
    (tmp_path / "file").touch()
    heard, stats = prepared(tmp_path / "file", TMPDIR=str(tmp_path))
    assert heard[0].startswith("Every run compiles its kernels again, because their cache ")
    assert heard[1:] == [["BF16"], True, "lost"]
    assert stats == [1, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "the private folder is gone"


def test_a_compiler_that_is_switched_off_is_told(tmp_path):
    ((sentence,), stats) = prepared(tmp_path, NUMBA_DISABLE_JIT="1")
    assert "NUMBA_DISABLE_JIT is set" in sentence
    assert stats is None
    assert list(tmp_path.iterdir()) == []


#: Takes work and never answers, in two processes, which both hold a pipe open.
STUCK = "import os, sys, time; pipe = open(f'{sys.argv[2]}/pipe', 'wb'); os.fork(); time.sleep(600)"


@pytest.mark.parametrize("how", ["an interrupt", "work that is not done", "no work"])
def test_no_process_outlives_its_block(tmp_path, monkeypatch, how):
    monkeypatch.setattr(workers, "_START", STUCK)
    monkeypatch.setattr(workers, "_PATIENCE", 0)
    monkeypatch.setattr(workers, "_FORKS", True)
    os.mkfifo(tmp_path / "pipe")
    held = workers.Workers(2, tmp_path)
    (server,) = held._servers
    with (tmp_path / "pipe").open("rb") as pipe:
        with suppress(KeyboardInterrupt), held:
            if how == "work that is not done":
                held.give([Kernel("quantize", "BF16")])
            if how == "an interrupt":
                raise KeyboardInterrupt
        assert server.returncode == -9
        assert select([pipe], [], [], 60)[0], "a process still holds the pipe"
        assert pipe.read() == b""


def test_each_kernel_is_given_once_and_told_once(tmp_path):
    kernels = [Kernel("quantize", "BF16"), Kernel("read", "BF16")]
    told: list[Kernel] = []
    with workers.Workers(2, tmp_path) as held:
        held.give(kernels[:1])
        held.give(kernels)
        held.finish(told.append)
        held.finish(told.append)
    assert sorted(told, key=kernels.index) == kernels


#: What reads the checkpoint, and what measures its vectors.
ALWAYS = {Kernel("read", "BF16"), Kernel("measure")}
SURE = [
    ("q4_k_m", False, {Kernel("quantize", "Q4_K"), Kernel("measure", "Q4_K"), *ALWAYS}),
    ("q4_k_m", True, {Kernel("quantize", "Q4_K", True), Kernel("measure", "Q4_K", True), *ALWAYS}),
    ("q8_0", True, {Kernel("quantize", "Q8_0"), Kernel("measure", "Q8_0", True), *ALWAYS}),
    ("f32", False, ALWAYS),
]


@pytest.mark.parametrize(("name", "weighted", "sure"), SURE)
def test_kernels_that_any_plan_needs_are_begun_ahead(name, weighted, sure):
    infos = {"x": TensorInfo("x", "BF16", (4, 512), 4096, "x"), "y": TensorInfo("y", "BF16", (288,), 576, "x")}
    checkpoint = cast("Checkpoint", SimpleNamespace(infos=infos))
    assert {*KernelsAhead([find_format(name)], checkpoint, weighted=weighted)._sure()} == sure


def test_a_type_that_no_row_fits_is_not_begun_ahead():
    infos = {"x": TensorInfo("x", "BF16", (4, 288), 2304, "x")}
    checkpoint = cast("Checkpoint", SimpleNamespace(infos=infos))
    assert {*KernelsAhead([find_format("q4_k_m")], checkpoint, weighted=False)._sure()} == ALWAYS


#: Refuses a model; prints whether Numba was imported, and how many processes were started.
REFUSE = """
import sys
from quantize_cli import QuantizeError, quantize
from quantize_cli.run import workers

started = []
start = workers.Workers._start
workers.Workers._start = lambda self, count, folder: (start(self, count, folder), started.extend(self._servers))
try:
    quantize(sys.argv[1], "q8_0", sys.argv[2], pre_tokenizer=sys.argv[3])
except QuantizeError as error:
    print("numba" in sys.modules, [server.poll() is None for server in started])
"""


@pytest.mark.parametrize("wrong", ["the class", "the pre-tokenizer"])
def test_a_refusal_leaves_no_process_behind(tmp_path, wrong):
    model = make_checkpoint(tmp_path / "model", num_hidden_layers=1)
    if wrong == "the class":
        text = (model / "config.json").read_text()
        (model / "config.json").write_text(text.replace("LlamaForCausalLM", "NobodyForCausalLM"))
    done = subprocess.run(
        [sys.executable, "-c", REFUSE, str(model), str(tmp_path), "gpt-2" if wrong == "the class" else "nobody's"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "False []\n"


def test_the_kernels_of_a_plan_are_those_of_its_tensors(llama):
    assert {*kernels_of_plans([plan(llama, "q8_0", **PRE)])} == {
        Kernel("read", "BF16"),
        Kernel("quantize", "Q8_0"),
        Kernel("measure", "Q8_0"),
        Kernel("measure"),
    }
    assert kernels_of_plans([plan(llama, "f32", **PRE)]) == [Kernel("measure"), Kernel("read", "BF16")]


#: Quantizes, and lists the kernels that are loaded or compiled after the run has started.
RUN = """
import sys
import numpy as np
from quantize_cli import Observer, quantize
from quantize_cli.simd.cache import KernelCache

load, late, began = KernelCache.load_overload, [], []

def seen(self, sig, context):
    if began:
        late.append((self._py_func.__qualname__, str(sig)))
    return load(self, sig, context)

KernelCache.load_overload = seen

class Watch(Observer):
    def started(self, plan):
        began.append(plan)

model, half, weights, out = sys.argv[1:]
pre = {"pre_tokenizer": "gpt-2"}
for source, formats, options in (
    (model, ["q8_0", "bf16"], pre),
    (half, ["q8_0", "f16", "q4_0"], pre),
    (model, ["q8_0", "q4_0", "f32"], pre | {"imatrix": weights}),
    (f"{out}/2/model-BF16.gguf", ["q8_0", "f16", "f32"], {}),
    (f"{out}/2/model-Q8_0.gguf", ["q4_0", "q8_0", "q4_1"], {"allow_requantize": True}),
):
    began.clear()
    quantize(source, formats, f"{out}/{len(formats)}", observer=Watch(), force=True, **options)
print(late)
"""


def test_a_run_needs_no_kernel_that_was_not_prepared(tmp_path):
    model = make_checkpoint(tmp_path / "model", num_hidden_layers=1)
    half = make_checkpoint(tmp_path / "half", num_hidden_layers=1, dtypes=("F16", "F32"))
    names = [tensor.name for tensor in plan(model, "q8_0", **PRE).tensors]
    columns = {tensor.name: tensor.columns for tensor in plan(model, "q8_0", **PRE).tensors}
    weights = write_imatrix(tmp_path / "weights.gguf", {name: squares(columns[name]) for name in names})
    for folder in ("2", "3"):
        (tmp_path / folder).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(model), str(half), str(weights), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
