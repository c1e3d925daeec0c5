"""The estimate of a run's memory, against runs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint

from quantize_cli import plan
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.run.memory import memory_of_run

RUN = """
import re, sys
from pathlib import Path
from quantize_cli import quantize
model, formats, threads, pre, output = sys.argv[1:]
quantize(model, formats.split(","), output + "/", threads=int(threads), pre_tokenizer=pre)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("formats", "threads"), [("q8_0", 1), ("q8_0", 8), ("q4_k_m,q8_0,f16", 8), ("f32", 16)])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; a child's ru_maxrss begins with its parent's")
def test_the_estimate_is_near_what_a_run_takes(formats, threads, tmp_path):
    sizes = {"hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 8}
    folder = make_checkpoint(tmp_path / "model", num_hidden_layers=2, **sizes)
    command = [sys.executable, "-c", RUN, folder, formats, str(threads), PRE_TOKENIZER]
    for output in ("cold", "warm"):  # the first run may compile kernels, which takes memory too
        (tmp_path / output).mkdir()
        run = subprocess.run([*command, tmp_path / output], capture_output=True, check=True, timeout=600)
    measured = 1024 * int(run.stdout)
    estimated = memory_of_run(plan(folder, formats.split(","), pre_tokenizer=PRE_TOKENIZER), threads)
    assert estimated == pytest.approx(measured, rel=0.25)


def test_more_threads_formats_and_importances_take_more_but_threads_not_without_bound(llama):
    one, two = (plan(llama, names, pre_tokenizer=PRE_TOKENIZER) for names in (["q8_0"], ["q8_0", "f16"]))
    matrix = ImportanceMatrix({"x": np.ones((1, 1000), np.float32)}, "x", (), 0)
    assert memory_of_run(one, 1) < memory_of_run(one, 2) < memory_of_run(two, 2)
    assert memory_of_run(one, 2, matrix) - memory_of_run(one, 2) == 4000
    assert memory_of_run(one, 1000) == memory_of_run(one, 2000) < 1 << 30
