"""`quantize warm`: kernels compiled ahead of the first run."""

from __future__ import annotations

import os
import subprocess

import pytest
from command_line import COMMAND, USUAL, sentence, started


def test_the_types_that_the_formats_need_are_named(quantize, work):
    result = quantize("warm", "q8_0", "Q4_K_S")
    assert result.exit_code == 0
    assert result.stdout == ""
    types = result.stderr.split()
    assert len(types) == len({*types})
    assert {*types} >= {"F16", "BF16", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "Q5_0"}
    assert not {*types} & {"Q3_K", "Q2_K", "IQ4_XS"}


def test_an_unknown_format_is_a_sentence(quantize, work):
    result = quantize("warm", "q9_k")
    assert result.exit_code == 2
    assert "Unknown format 'q9_k'" in sentence(result.stderr)


@pytest.mark.slow
def test_a_run_of_a_warm_format_compiles_nothing(llama, tmp_path, work):
    cache = tmp_path / "cache"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    subprocess.run([*COMMAND, "warm", "q8_0"], env=environment, check=True, capture_output=True)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nbc")}
    assert before
    assert started(llama, *USUAL, env=environment).communicate()[0] == b""
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.nbc")} == before
