"""The whole `quantize` command against the reference's `llama-quantize` on the same model of 1 B parameters.

    python bench/whole_command.py --reference-python OTHER/bin/python

Ours is timed from the start of the process to its end: from the safetensors checkpoint to the GGUF file, sync, error
figures and report included, after one run that compiles the kernels. The reference's is the call of
`llama_model_quantize` alone, which syncs and measures nothing, from a bf16 GGUF of the same weights. With --converter,
the time of the reference's converter, which makes that GGUF, is added in rows of their own. The sides alternate; before
each, what is unwritten goes to disk. Then one thread against two, and several formats from one read against a run for
each. Exits with 1 where files differ.

What goes to a tmpfs (--tmpfs) has no disk to wait for: there a sync takes no time. The reference's function is in
llama-cpp-python, which pip compiles (minutes): any Python that has it will do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import _table
from _command import PRE_TOKENIZER, generate, quantize, run, work_folder
from _importance import write_importance
from _machine import has_avx512, is_tmpfs
from _table import Row, ratio, show

THREADS = 2
#: Size of the checkpoint -> bytes for it, its bf16 GGUF and the outputs; and for outputs in memory.
ROOM = {"tiny": 30_000_000, "1b": 9_000_000_000}
MEMORY = {"tiny": 10_000_000, "1b": 6_000_000_000}
LADDER = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
LADDER_SHARE = 0.6
SCALING = 1.8
ROUNDS = 5


class Target(NamedTuple):
    """A format and what is asked of it."""

    format: str
    file_type: int  #: llama.cpp's number
    wall: float  #: times as fast as the reference
    cpu: float | None
    rounds: int = ROUNDS  #: the reference takes minutes for IQ4_XS
    importance: bool = False
    converter: float | None = None  #: times as fast as the reference and its converter together
    in_memory: bool = False  #: whether the outputs go to the tmpfs


_Q4_K_M = 12.0 if has_avx512() else 8.0
TARGETS = (
    Target("q4_k_m", 15, _Q4_K_M, _Q4_K_M, converter=10),
    Target("iq4_xs", 30, 25, 25, rounds=1),
    Target("q4_k_m", 15, 4, 4, rounds=1, importance=True),
    Target("q8_0", 7, 1.3, None),
    Target("q8_0", 7, 1.3, None, in_memory=True),
)


@dataclass(frozen=True, slots=True)
class Time:
    """What one side took, in seconds."""

    wall: float
    cpu: float

    def __add__(self, other: Time) -> Time:
        return Time(self.wall + other.wall, self.cpu + other.cpu)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rows share."""

    folder: Path
    checkpoint: Path
    memory: Path | None  #: a folder in a tmpfs
    reference: str  #: a Python
    converter: Path | None

    @property
    def source(self) -> Path:
        """The bf16 GGUF."""
        return self.folder / "source.gguf"

    @property
    def imatrix(self) -> Path:
        """A random importance matrix; one for the reference is beside it."""
        return self.folder / "imatrix.gguf"


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument(
        "--reference-python", default=sys.executable, metavar="PYTHON", help="a Python that has llama-cpp-python"
    )
    parser.add_argument(
        "--converter", type=Path, metavar="FILE", help="convert_hf_to_gguf.py in a checkout of llama.cpp"
    )
    parser.add_argument("--size", choices=ROOM, default="1b", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (9 GB)")
    parser.add_argument("--tmpfs", type=Path, metavar="DIR", default=Path("/dev/shm"), help="default: %(default)s")
    arguments = parser.parse_args()
    show(rows(arguments), arguments)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows: formats beside the reference, one thread beside two, and a ladder of formats."""
    reference = arguments.reference_python
    if subprocess.run([reference, "-c", "import llama_cpp"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit(
            f"{reference} has no llama-cpp-python: make an environment with `pip install llama-cpp-python==0.3.36` "
            "and name its Python with --reference-python."
        )
    with (
        work_folder(arguments.work, ROOM[arguments.size]) as folder,
        _memory(arguments.tmpfs, MEMORY[arguments.size]) as memory,
    ):
        checkpoint = generate(folder / "model", arguments.size)
        bench = Bench(folder, checkpoint, memory, reference, arguments.converter)
        quantize(checkpoint, "bf16", bench.source, "--no-provenance", *PRE_TOKENIZER)
        write_importance(bench.source, folder)
        for target in TARGETS:
            yield from _compare(target, bench)
        yield _scaling("q4_k_m", bench)
        yield _ladder(bench)


@contextmanager
def _memory(tmpfs: Path, needed: int) -> Iterator[Path | None]:
    """Make a temporary folder in a tmpfs that has room; None where there is none."""
    if not is_tmpfs(tmpfs) or shutil.disk_usage(tmpfs).free < needed:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="quantize-bench-", dir=tmpfs) as name:
        yield Path(name)


def _compare(target: Target, bench: Bench) -> Iterator[Row]:
    what = f"{target.format}{' with imatrix' if target.importance else ''}{' on tmpfs' if target.in_memory else ''}"
    folder = bench.memory if target.in_memory else bench.folder
    if folder is None:
        yield Row(what, "skipped", remark="no tmpfs that has room; name one with --tmpfs")
        return
    ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
    report = bench.folder / "report.json"
    options: list[str | Path] = ["--threads", str(THREADS), "--report", report, "--no-provenance", *PRE_TOKENIZER]
    if target.importance:
        options += ["--imatrix", bench.imatrix]
    quantize(bench.checkpoint, target.format, ours, *options)
    mine: list[Time] = []
    other: list[Time] = []
    for _ in range(target.rounds):
        _settle(ours)
        usage = quantize(bench.checkpoint, target.format, ours, *options)
        mine.append(Time(usage.seconds, usage.cpu_seconds))
        _settle(theirs)
        other.append(_llama_quantize(bench, theirs, target))
    same = _digest(ours) == _digest(theirs)
    remark = f"{ours.stat().st_size:,} bytes, {'identical' if same else 'DIFFERENT'}; {_synced(target)}"
    yield _row(f"{what}, {THREADS} threads, wall", _walls(mine), _walls(other), target.wall, remark, right=same)
    yield _row(f"{what}, {THREADS} threads, CPU", _cpus(mine), _cpus(other), target.cpu)
    ours.unlink()
    theirs.unlink()
    if target.converter is None:
        return
    if bench.converter is None:
        yield Row(f"{what}, with converter", "skipped", remark="name the reference's with --converter")
        return
    converted = _convert(bench)
    both = [converted + time for time in other]
    remark = f"the converter takes {converted.wall:.1f} s, {converted.cpu:.1f} s of CPU"
    yield _row(f"{what} with converter, wall", _walls(mine), _walls(both), target.converter, remark)
    yield _row(f"{what} with converter, CPU", _cpus(mine), _cpus(both), target.converter)


def _synced(target: Target) -> str:
    return "no disk to wait for" if target.in_memory else "ours is synced, the reference's is not"


def _row(
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    asked: float | None,
    remark: str = "",
    *,
    right: bool = True,
) -> Row:
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return Row(
        what=what,
        ours=f"{median(ours):.2f} s",
        reference=f"{median(theirs):.2f} s",
        ratio=ratio(ratios),
        asked="" if asked is None else f"{asked:g}",
        kept=None if asked is None else median(ratios) >= asked,
        remark=remark,
        right=right,
    )


def _scaling(name: str, bench: Bench) -> Row:
    """Compare two threads with one; the reference of this row is one thread."""
    output = bench.folder / "scaling.gguf"
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for threads, found in seconds.items():
            _settle(output)
            found.append(quantize(bench.checkpoint, name, output, "--threads", str(threads), *PRE_TOKENIZER).seconds)
    output.unlink()
    return _row(f"{name}, 1 thread to 2, wall", seconds[2], seconds[1], SCALING, "ours, both; start and sync included")


def _ladder(bench: Bench) -> Row:
    """Measure several formats from one read; the reference of this row is a run of ours for each."""
    what = f"{len(LADDER)} formats from one read"
    if bench.memory is None:
        return Row(what, "skipped", remark="no tmpfs that has room; name one with --tmpfs")
    target = bench.memory / "ladder"
    options = ("--threads", str(THREADS), *PRE_TOKENIZER)
    first, *others = LADDER
    more = [part for name in others for part in ("--format", name)]
    together = []
    single = []
    for number in range(ROUNDS + 1):
        target.mkdir()
        whole = quantize(bench.checkpoint, first, target, *more, *options).seconds
        if number:  # the first compiles
            together.append(whole)
            shutil.rmtree(target)
            target.mkdir()
            single.append(sum(quantize(bench.checkpoint, name, target, *options).seconds for name in LADDER))
        shutil.rmtree(target)
    share = median(a / b for a, b in zip(together, single, strict=True))
    return Row(
        what,
        f"{median(together):.2f} s",
        f"{median(single):.2f} s",
        ratio(b / a for a, b in zip(together, single, strict=True)),
        f"<{LADDER_SHARE:.0%}",
        share <= LADDER_SHARE,
        f"ours, both, on tmpfs; {share:.0%} of the sum of single runs",
    )


def _settle(output: Path) -> None:
    """Remove an earlier output and write everything unwritten, so that no run pays for the one before."""
    output.unlink(missing_ok=True)
    os.sync()


def _llama_quantize(bench: Bench, output: Path, target: Target) -> Time:
    """Measure the reference's call."""
    script = Path(__file__).with_name("llama_quantize.py")
    importance = [bench.imatrix] if target.importance else []
    done = subprocess.run(
        [bench.reference, script, bench.source, output, str(target.file_type), str(THREADS), *importance],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{script} failed: {done.stderr[-2000:]}")
    wall, cpu = map(float, done.stdout.splitlines()[-1].split())
    return Time(wall, cpu)


def _convert(bench: Bench) -> Time:
    """Measure the reference's converter once, its start included."""
    assert bench.converter is not None
    output = bench.folder / "converted.gguf"
    script = Path(__file__).with_name("reference_converter.py")
    os.sync()
    # -P: transformers would take `kernels.py` beside the script for a package of that name.
    usage = run([bench.reference, "-P", script, bench.converter, bench.checkpoint, output])
    output.unlink()
    return Time(usage.seconds, usage.cpu_seconds)


def _walls(times: Sequence[Time]) -> list[float]:
    return [time.wall for time in times]


def _cpus(times: Sequence[Time]) -> list[float]:
    return [time.cpu for time in times]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
