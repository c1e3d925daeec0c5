"""The whole `quantize` command against the reference's `llama-quantize` on the same model of 1 B parameters.

    python bench/whole_command.py --reference-python OTHER/bin/python

Ours is timed from the start of the process to its end: from the safetensors checkpoint to the GGUF file, fsync, error
figures and report included, after one run that compiles the kernels. The reference's is the call of
`llama_model_quantize` alone, from a bf16 GGUF of the same weights (which the reference's converter would have to make
first; here `quantize --format bf16` writes it, untimed). They alternate; before each, what is unwritten goes to disk.
Then one thread against two, and several formats from one read against a run for each. Exits with 1 where files differ.

The reference's function is in llama-cpp-python, which pip compiles (minutes): any Python that has it will do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from _command import PRE_TOKENIZER, generate, quantize, work_folder
from _importance import write_importance
from _table import Row, ratio, show

THREADS = 2
#: Size of the checkpoint -> bytes for it, its bf16 GGUF and the outputs.
ROOM = {"tiny": 30_000_000, "1b": 9_000_000_000}
LADDER = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
ROUNDS = 3


class Target(NamedTuple):
    """A format and what is asked of it."""

    format: str
    file_type: int  #: llama.cpp's number
    asked: float  #: times as fast as the reference
    rounds: int  #: the reference takes minutes for IQ4_XS
    importance: bool = False


TARGETS = (
    Target("q4_k_m", 15, 5, 3),
    Target("iq4_xs", 30, 8, 1),
    Target("q4_k_m", 15, 4, 1, importance=True),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    show(rows(parser.parse_args()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `rows` uses."""
    parser.add_argument(
        "--reference-python", default=sys.executable, metavar="PYTHON", help="a Python that has llama-cpp-python"
    )
    parser.add_argument("--size", choices=ROOM, default="1b", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (9 GB)")


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows: formats beside the reference, one thread beside two, and a ladder of formats."""
    reference = arguments.reference_python
    if subprocess.run([reference, "-c", "import llama_cpp"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit(
            f"{reference} has no llama-cpp-python: make an environment with `pip install llama-cpp-python==0.3.36` "
            "and name its Python with --reference-python."
        )
    with work_folder(arguments.work, ROOM[arguments.size]) as folder:
        checkpoint = generate(folder / "model", arguments.size)
        source = folder / "source.gguf"
        quantize(checkpoint, "bf16", source, *PRE_TOKENIZER)
        write_importance(source, folder)
        for target in TARGETS:
            yield _compare(target, checkpoint, source, reference)
        for name in ("q4_k_m", "iq4_xs"):
            yield _scaling(name, checkpoint, folder)
        yield _ladder(checkpoint, folder)


def _compare(target: Target, checkpoint: Path, source: Path, reference: str) -> Row:
    ours = source.with_name("ours.gguf")
    theirs = source.with_name("theirs.gguf")
    imatrix = source.with_name("imatrix.gguf")
    options: list[str | Path] = ["--threads", str(THREADS), "--report", source.with_name("report.json"), *PRE_TOKENIZER]
    if target.importance:
        options += ["--imatrix", imatrix]
    quantize(checkpoint, target.format, ours, *options)
    mine = []
    other = []
    for _ in range(target.rounds):
        _settle(ours)
        mine.append(quantize(checkpoint, target.format, ours, *options).seconds)
        _settle(theirs)
        other.append(_llama_quantize(reference, source, theirs, target, imatrix))
    same = _digest(ours) == _digest(theirs)
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    return Row(
        what=f"{target.format}{' with imatrix' if target.importance else ''}, {THREADS} threads",
        ours=f"{median(mine):.2f} s",
        reference=f"{median(other):.2f} s",
        ratio=ratio(ratios),
        asked=f"{target.asked:g}",
        kept=median(ratios) >= target.asked,
        remark=f"{ours.stat().st_size:,} bytes, {'identical' if same else 'DIFFERENT'}",
        right=same,
    )


def _scaling(name: str, checkpoint: Path, folder: Path) -> Row:
    """Compare two threads with one; the reference of this row is one thread."""
    output = folder / "scaling.gguf"
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for threads, found in seconds.items():
            _settle(output)
            found.append(quantize(checkpoint, name, output, "--threads", str(threads), *PRE_TOKENIZER).seconds)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    one, two = median(seconds[1]), median(seconds[2])
    return Row(
        f"{name}, 1 thread to 2",
        f"{two:.2f} s",
        f"{one:.2f} s",
        ratio(ratios),
        "1.8",
        median(ratios) >= 1.8,
        "ours, both",
    )


def _ladder(checkpoint: Path, folder: Path) -> Row:
    """Measure several formats from one read; the reference of this row is a run of ours for each."""
    target = folder / "ladder"
    target.mkdir()
    options = ("--threads", str(THREADS), *PRE_TOKENIZER)
    first, *others = LADDER
    more = [part for name in others for part in ("--format", name)]
    quantize(checkpoint, first, target, *more, *options)
    together = []
    single = []
    for _ in range(ROUNDS):
        os.sync()
        together.append(quantize(checkpoint, first, target, *more, *options).seconds)
        os.sync()
        single.append(sum(quantize(checkpoint, name, target, *options).seconds for name in LADDER))
    saved = [1 - a / b for a, b in zip(together, single, strict=True)]
    return Row(
        f"{len(LADDER)} formats from one read",
        f"{median(together):.2f} s",
        f"{median(single):.2f} s",
        ratio(b / a for a, b in zip(together, single, strict=True)),
        remark=f"ours, both; {median(saved):.0%} saved",
    )


def _settle(output: Path) -> None:
    """Remove an earlier output and write everything unwritten, so that no run pays for the one before."""
    output.unlink(missing_ok=True)
    os.sync()


def _llama_quantize(reference: str, source: Path, output: Path, target: Target, imatrix: Path) -> float:
    """Measure the reference's call in seconds."""
    script = Path(__file__).with_name("llama_quantize.py")
    importance = [imatrix] if target.importance else []
    done = subprocess.run(
        [reference, script, source, output, str(target.file_type), str(THREADS), *importance],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{script} failed: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
