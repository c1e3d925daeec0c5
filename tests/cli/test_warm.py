"""`quantize warm`: kernels compiled ahead of the first run."""

from __future__ import annotations

import os
import subprocess

import pytest
from command_line import COMMAND, USUAL, sentence, started

from quantize_cli.mixes.find import find_format
from quantize_cli.run.kernels import Kernel, kernels_of_mixes


def test_all_that_the_formats_can_need_is_compiled():
    kernels = kernels_of_mixes([find_format("q8_0"), find_format("Q4_K_S")])
    assert len(kernels) == len({*kernels})
    types = {kernel.type for kernel in kernels}
    assert types >= {"F32", "F16", "BF16", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "Q5_0"}
    assert not types & {"Q3_K", "Q2_K", "IQ4_XS"}
    assert {kernel.work for kernel in kernels if kernel.type == "F32"} == {"measure", "check"}
    assert {*kernels} >= {Kernel("quantize", "Q4_K", weighted=use) for use in (False, True)}
    assert Kernel("quantize", "Q8_0", weighted=True) not in kernels, "Q8_0 makes no use of importance"


def test_an_unknown_format_is_a_sentence(quantize, work):
    result = quantize("warm", "q9_k")
    assert result.exit_code == 2
    assert "Unknown format 'q9_k'" in sentence(result.stderr)


@pytest.mark.slow
def test_a_run_of_a_warm_format_compiles_nothing(llama, tmp_path, work):
    cache = tmp_path / "cache"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([*COMMAND, "warm", "q8_0"], env=environment, check=True, capture_output=True, text=True)
    said = done.stderr.splitlines()
    assert said[0] == "Compiling kernels for F16, BF16, Q8_0, once for this machine ..."
    assert said[-1].startswith("Compiled in ")
    again = subprocess.run([*COMMAND, "warm", "q8_0"], env=environment, check=True, capture_output=True, text=True)
    assert again.stderr == f"All {len(kernels_of_mixes([find_format('q8_0')]))} kernels are in the cache.\n"
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.kernel")}
    assert before
    run = started(llama, *USUAL, env=environment)
    assert b"ompil" not in run.communicate()[1]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.kernel")} == before


@pytest.mark.slow  # compiles four kernels
def test_a_cache_that_cannot_be_kept_is_a_sentence(work, tmp_path):
    (tmp_path / "file").touch()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run([*COMMAND, "warm", "f32"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Every run compiles its kernels again, because their cache ")
    assert done.stderr.splitlines()[-1].startswith("quantize: The compiled kernels could not be kept")
