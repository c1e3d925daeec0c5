"""The whole `quantize` command against the reference's `llama-quantize` on the same model, 2 threads each.

    python bench/whole_command.py --reference-python OTHER/bin/python

Ours is timed from the start of the process to its end: from the safetensors checkpoint to the GGUF file, fsync, error
figures and report included, after one run that compiles the kernels. The reference's is the call of
`llama_model_quantize` alone, from a bf16 GGUF of the same weights (which the reference's converter would have to make
first; here `quantize --format bf16` writes it, untimed). They alternate; before each, what is unwritten goes to disk.
Exits with 1 where the two files differ.

The reference's function is in llama-cpp-python, which pip compiles (minutes): any Python that has it will do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

from _command import PRE_TOKENIZER, generate, quantize, work_folder
from _machine import head_line
from gguf import LlamaFileType

THREADS = 2
#: Size of the checkpoint -> bytes for it, its bf16 GGUF and two outputs.
ROOM = {"tiny": 20_000_000, "1b": 6_000_000_000}


class Target(NamedTuple):
    """A format and what is asked of it."""

    file_type: LlamaFileType
    required: int  #: times as fast as the reference
    rounds: int  #: the reference takes minutes for IQ4_XS


TARGETS = {
    "q4_k_m": Target(LlamaFileType.MOSTLY_Q4_K_M, 4, 3),
    "iq4_xs": Target(LlamaFileType.MOSTLY_IQ4_XS, 6, 1),
}


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    reference = arguments.reference_python
    if subprocess.run([reference, "-c", "import llama_cpp"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit(
            f"{reference} has no llama-cpp-python: make an environment with `pip install llama-cpp-python==0.3.36` "
            "and name its Python with --reference-python."
        )
    print(head_line())
    with work_folder(arguments.work, ROOM[arguments.size]) as folder:
        checkpoint = generate(folder / "model", arguments.size)
        source = folder / "source.gguf"
        quantize(checkpoint, "bf16", source, *PRE_TOKENIZER)
        size = source.stat().st_size
        print(f"{size:,} bytes of bf16 GGUF, {THREADS} threads, wall time in seconds (median of rounds)\n")
        print("| format | rounds | quantize | llama-quantize | ratio | required |       |         bytes | files     |")
        print("|--------|-------:|---------:|---------------:|------:|---------:|-------|--------------:|-----------|")
        same = [_compare(name, arguments.rounds, checkpoint, source, reference) for name in arguments.format]
    sys.exit(not all(same))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--reference-python", default=sys.executable, metavar="PYTHON", help="a Python that has llama-cpp-python"
    )
    parser.add_argument("--format", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--rounds", type=int, help="default: 3 for q4_k_m, 1 for iq4_xs")
    parser.add_argument("--size", choices=ROOM, default="1b", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (6 GB)")
    return parser.parse_args()


def _compare(name: str, rounds: int | None, checkpoint: Path, source: Path, reference: str) -> bool:
    """Print one row; whether the files are identical."""
    target = TARGETS[name]
    ours = source.with_name("ours.gguf")
    theirs = source.with_name("theirs.gguf")
    options = ("--threads", str(THREADS), "--report", source.with_name("report.json"), *PRE_TOKENIZER)
    quantize(checkpoint, name, ours, *options)
    our_seconds = []
    their_seconds = []
    for _ in range(rounds or target.rounds):
        _settle(ours)
        our_seconds.append(quantize(checkpoint, name, ours, *options).seconds)
        _settle(theirs)
        their_seconds.append(_llama_quantize(reference, source, theirs, target.file_type))
    same = _digest(ours) == _digest(theirs)
    mine, other = median(our_seconds), median(their_seconds)
    print(
        f"| {name:6} | {len(our_seconds):6} | {mine:8.2f} | {other:14.2f} | {other / mine:5.2f} | {target.required:8} "
        f"| {'ok' if other / mine >= target.required else 'short':5} | {ours.stat().st_size:13,} "
        f"| {'identical' if same else 'DIFFERENT'} |",
        flush=True,
    )
    return same


def _settle(output: Path) -> None:
    """Remove an earlier output and write everything unwritten, so that no run pays for the one before."""
    output.unlink(missing_ok=True)
    os.sync()


def _llama_quantize(reference: str, source: Path, output: Path, file_type: LlamaFileType) -> float:
    """Seconds of the reference's call."""
    script = Path(__file__).with_name("llama_quantize.py")
    done = subprocess.run(
        [reference, script, source, output, str(int(file_type)), str(THREADS)],
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
