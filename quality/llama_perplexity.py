"""The figures of llama.cpp's own `llama-perplexity --kl-divergence`, as one line of a table for each file.

    python quality/llama_perplexity.py --bin FOLDER --original F32.gguf --text TEXT FILE.gguf ... > figures.tsv

FOLDER has `llama-perplexity`. The original's logits are computed once and kept beside the table's work files (--work).
The second half of each chunk is scored. One thread, so that the same command gives the same figures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

#: One run in ten or so loses its last lines.
_TRIES = 4
_NUMBER = r"\s*:?\s*(-?[\d.]+)(?:\s*±\s*([\d.]+))?"


@dataclass(frozen=True, slots=True)
class Figures:
    """What llama-perplexity prints at its end; KLD is in nats a token, and `same_top` a share."""

    mean_kld: float
    mean_kld_error: float
    median_kld: float
    kld_99: float
    kld_99_9: float
    same_top: float
    same_top_error: float
    perplexity: float
    original_perplexity: float
    ln_ratio: float
    ln_ratio_error: float


def figures_of(log: str) -> Figures:
    """Read the figures from what the program has printed.

    Raises:
        ValueError: They are not there: the program failed, or scored fewer than 100 tokens.
    """

    def line(label: str) -> tuple[float, float]:
        found = re.search(rf"^{label}{_NUMBER}", log, re.MULTILINE)
        if found is None:
            raise ValueError(f"llama-perplexity has not printed {label!r}")
        return float(found[1]), float(found[2] or 0)

    kld, top, ratio = line("Mean    KLD"), line("Same top p"), line(r"Mean ln\(PPL\(Q\)/PPL\(base\)\)")
    return Figures(
        mean_kld=kld[0],
        mean_kld_error=kld[1],
        median_kld=line("Median  KLD")[0],
        kld_99=line("99.0%   KLD")[0],
        kld_99_9=line("99.9%   KLD")[0],
        same_top=top[0] / 100,
        same_top_error=top[1] / 100,
        perplexity=line(r"Mean PPL\(Q\)")[0],
        original_perplexity=line(r"Mean PPL\(base\)")[0],
        ln_ratio=ratio[0],
        ln_ratio_error=ratio[1],
    )


def head() -> str:
    """Return the table's first line."""
    return "\t".join(("file", "bytes", *(field.name for field in fields(Figures))))


def row(file: Path, figures: Figures) -> str:
    """Return the line of a file."""
    values = (getattr(figures, field.name) for field in fields(figures))
    return "\t".join((file.name, str(file.stat().st_size), *(f"{value:.6f}" for value in values)))


def main() -> None:
    """Run the program on the original and on each file, and print the table as it grows."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="+", type=Path, metavar="FILE.gguf")
    made.add_argument("--bin", type=Path, required=True, help="folder of llama-perplexity")
    made.add_argument("--original", type=Path, required=True, help="the model in F32 or BF16")
    made.add_argument("--text", type=Path, required=True)
    made.add_argument("--context", type=int, default=512)
    made.add_argument("--chunks", type=int, default=24)
    made.add_argument("--work", type=Path, default=Path("out"), help="folder for the original's logits")
    arguments = made.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    # Without --no-repack, some builds use instructions that a virtual machine announces and does not have (AMX).
    program = [str(arguments.bin / "llama-perplexity"), "-t", "1", "--no-repack"]
    logits = arguments.work / "original.kld"
    if not logits.exists():
        unfinished = logits.with_suffix(".tmp")
        sizes = ("-c", str(arguments.context), "--chunks", str(arguments.chunks))
        _run([*program, *sizes, "-m", arguments.original, "-f", arguments.text, "--kl-divergence-base", unfinished])
        unfinished.rename(logits)
    print(head(), flush=True)
    for file in arguments.files:
        print(
            row(file, _figures([*program, "-m", file, "--kl-divergence-base", logits, "--kl-divergence"])), flush=True
        )


def _figures(words: Sequence[str | Path]) -> Figures:
    """Run the program, again if it has lost its last lines: it may end before its thread has written them."""
    for _ in range(_TRIES - 1):
        with suppress(ValueError):
            return figures_of(_run(words))
    return figures_of(_run(words))


def _run(words: Sequence[str | Path]) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\n{words[0]} has failed with the exit code {done.returncode}.")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
