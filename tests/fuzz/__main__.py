"""Tries many inputs: `PYTHONPATH=tests python -m fuzz --kind gguf --cases 20000`, from the project's root."""

from __future__ import annotations

import argparse
import sys
import time

from fuzz.targets import KINDS
from fuzz.tries import tries

TABLE = (
    "| kind | tried | refused | accepted | loaded | faults | slowest, ms | memory, MiB | a minute |",
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
    rows, faults = [], 0
    with tries() as running:
        for kind in options.kind or KINDS:
            started = time.perf_counter()
            verdicts = []
            for verdict in running.tried(kind, range(options.start, options.start + options.cases)):
                verdicts.append(verdict)
                if verdict.outcome == "fault" or options.verbose:
                    sys.stderr.write(f"{verdict}\n")
            minutes = (time.perf_counter() - started) / 60
            count = {name: sum(v.outcome == name for v in verdicts) for name in ("refused", "accepted", "fault")}
            faults += count["fault"]
            rows.append(
                f"| {kind} | {len(verdicts):,} | {count['refused']:,} | {count['accepted']:,} "
                f"| {sum(v.loaded for v in verdicts):,} | {count['fault']:,} "
                f"| {1000 * max(v.seconds for v in verdicts):,.0f} "
                f"| {max(v.peak_bytes for v in verdicts) / 2**20:,.0f} | {len(verdicts) / minutes:,.0f} |"
            )
    sys.stdout.write("\n".join([*TABLE, *rows, ""]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
