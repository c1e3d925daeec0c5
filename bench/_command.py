"""Run the `quantize` command, and what else a benchmark needs around it, in processes of their own.

Nothing here imports NumPy: a child's peak memory, as Linux counts it, is never below its parent's at the fork.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

#: A command and what comes before its own arguments.
Program: TypeAlias = tuple[str | Path, ...]
#: `quantize` as installed beside this Python, and the same with a family that is made up.
QUANTIZE: Program = (Path(sys.executable).with_name("quantize"),)
TRANSPOSED_EXPERTS: Program = (sys.executable, Path(__file__).with_name("transposed_experts.py"))

#: The pre-tokenizer of generated checkpoints, for versions that do not recognise it; it does not change the work.
PRE_TOKENIZER = ("--pre-tokenizer", "gpt-2")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took."""

    seconds: float  #: wall time
    cpu_seconds: float  #: of all threads, in the program and in the system
    peak_bytes: int  #: peak resident set, mapped pages of files included


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Usage:
    """Run `command` to its end; `environment` is added to ours. A failure ends the benchmark with its last words."""
    with tempfile.TemporaryFile() as messages:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=messages,
            stderr=messages,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            sys.exit(f"{command[0]} failed ({process.returncode}): {messages.read()[-2000:].decode(errors='replace')}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def quantize(
    model: Path,
    format_: str,
    output: Path,
    *options: str | Path,
    environment: Mapping[str, str] | None = None,
    program: Program = QUANTIZE,
) -> Usage:
    """Run `quantize MODEL --format FORMAT -o OUTPUT --force` with `options`."""
    return run([*program, model, "--format", format_, "-o", output, "--force", *options], environment)


def generate(folder: Path, size: str) -> Path:
    """Generate a checkpoint (see generate_checkpoint.py) in a process of its own; returns `folder`."""
    run([sys.executable, Path(__file__).with_name("generate_checkpoint.py"), folder, "--size", size])
    return folder


@contextmanager
def work_folder(parent: Path | None, needed_bytes: int) -> Iterator[Path]:
    """Make a temporary folder in `parent` (default: the system's) after a check of the disk; remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="quantize-bench-", dir=parent) as name:
        free = shutil.disk_usage(name).free
        if free < needed_bytes:
            sys.exit(f"{name} has {free:,} bytes free of the {needed_bytes:,} needed; choose another disk with --work.")
        yield Path(name)
