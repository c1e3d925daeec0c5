"""llama.cpp at work: the model of the wheel `xllamacpp` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup, params.n_parallel = sys.argv[1], 64, False, 1
asked = {"prompt": "a", "max_tokens": 3, "temperature": 0, "ignore_eos": True}
answer = xllamacpp.Server(params).handle_completions(asked)
print(answer["usage"]["completion_tokens"])
"""


def generated(path: Path) -> int:
    """Load a GGUF file, generate 3 tokens, and return how many came; skip if xllamacpp is not installed."""
    pytest.importorskip("xllamacpp")
    done = subprocess.run([sys.executable, "-c", _PROGRAM, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])
