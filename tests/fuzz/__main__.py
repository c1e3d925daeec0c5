"""Tries many inputs: `PYTHONPATH=tests python -m fuzz --kind gguf --cases 20000`, from the project's root."""

from __future__ import annotations

import argparse
import sys
import time

from fuzz.targets import KINDS
from fuzz.tries import tries
from fuzz.verdict import Verdict

TABLE = (
    "| kind | tried | refused | accepted | loaded | faults | slowest, CPU ms | memory, MiB | a minute |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def main() -> int:
    """Write each fault to standard error, and a table of the figures to standard output."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all of them")
    parser.add_argument("--cases", type=int, default=1000, help="how many of each kind")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--verbose", action="store_true", help="write what became of each")
    options = parser.parse_args()
    faults = 0
    sys.stdout.write("\n".join([*TABLE, ""]))
    with tries() as running:
        for kind in options.kind or KINDS:
            started, verdicts = time.perf_counter(), []
            numbers = range(options.start, options.start + options.cases)
            if KINDS[kind].damage is None:  # there are no more
                numbers = range(len(KINDS[kind].good()))[options.start : options.start + options.cases]
            for verdict in running.tried(kind, numbers):
                verdicts.append(verdict)
                if verdict.outcome == "fault" or options.verbose:
                    sys.stderr.write(f"{verdict}\n")
            if verdicts:
                sys.stdout.write(f"{_row(kind, verdicts, time.perf_counter() - started)}\n")
                sys.stdout.flush()
            faults += sum(verdict.outcome == "fault" for verdict in verdicts)
    return 1 if faults else 0


def _row(kind: str, verdicts: list[Verdict], seconds: float) -> str:
    """Return a line of the table; the slowest and the largest input are named by their numbers."""
    counts = [sum(verdict.outcome == outcome for verdict in verdicts) for outcome in ("refused", "accepted", "fault")]
    counts.insert(2, sum(verdict.loaded for verdict in verdicts))
    slowest, largest = max(verdicts, key=lambda v: v.seconds), max(verdicts, key=lambda v: v.peak_bytes)
    figures = (
        *(f"{count:,}" for count in (len(verdicts), *counts)),
        f"{1000 * slowest.seconds:,.0f} (number {slowest.number})",
        f"{largest.peak_bytes / 2**20:,.0f} (number {largest.number})",
        f"{60 * len(verdicts) / seconds:,.0f}",
    )
    return f"| {' | '.join((kind, *figures))} |"


if __name__ == "__main__":
    sys.exit(main())
