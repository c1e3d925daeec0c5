"""What one thread has to do alone, and with how many threads it would be what a run waits for.

    python bench/serial_share.py [FORMAT ...]

Three threads serve a run beside those that compute: the one that called (it orders slabs and merges their sums), one
that writes and one that hashes. Each is as fast as one core, however many others compute. Their CPU times are read when
the work on the weights begins and when it ends; start, plan, compilation and sync are not in them. All threads that
compute share the rest, so a thread binds where its own time is the rest divided by their number.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import _table
from _command import generate, work_folder
from _table import Row, show

from quantize_cli import Observer, quantize
from quantize_cli.planning.model import Plan

#: Format -> the most that the calling thread may take of all CPU time.
ASKED = {"q4_k_m": 0.03, "q8_0": None, "iq4_xs": None, "q3_k_m": None, "q2_k": None, "f16": None}
ROUNDS = 3
THREADS = 2
ROOM = {"tiny": 30_000_000, "1b": 4_500_000_000}


class Clocks(Observer):
    """Reads the CPU time of each thread when the work on the weights begins and ends, in seconds."""

    def started(self, plan: Plan) -> None:
        """Read the first time."""
        self._left = sum(tensor.rows * tensor.columns for tensor in plan.tensors)
        self._before = _read()

    def weights_done(self, weights: int) -> None:
        """Read the last time when no weights are left."""
        self._left -= weights
        if self._left == 0:
            self.taken = {name: now - self._before.get(name, 0.0) for name, now in _read().items()}


def _read() -> dict[str, float]:
    """Return the CPU time of the process, of this thread, and of those that serve it, by their names."""
    served = (thread for thread in threading.enumerate() if thread.name in ("quantize-write", "quantize-hash"))
    clocks = {
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in served if thread.ident
    }
    return {"all": time.process_time(), "calling": time.thread_time(), **clocks}


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("formats", metavar="FORMAT", nargs="*", default=list(ASKED))
    parser.add_argument("--size", choices=ROOM, default="1b", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (4.5 GB)")
    arguments = parser.parse_args()
    if not hasattr(time, "pthread_getcpuclockid"):
        sys.exit("This system does not tell the CPU time of each thread.")
    show(rows(arguments), arguments)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield a row for each format."""
    with work_folder(arguments.work, ROOM[arguments.size]) as folder:
        model = generate(folder / "model", arguments.size)
        for format_ in arguments.formats:
            yield _row(format_, [_taken(format_, model, folder / "output.gguf") for _ in range(ROUNDS)])


def _taken(format_: str, model: Path, output: Path) -> dict[str, float]:
    clocks = Clocks()
    quantize(model, format_, output, force=True, threads=THREADS, pre_tokenizer="gpt-2", observer=clocks)
    return clocks.taken


def _row(format_: str, rounds: list[dict[str, float]]) -> Row:
    taken = {name: median(of_round[name] for of_round in rounds) for name in rounds[0]}
    whole = taken.pop("all")
    computed = whole - sum(taken.values())
    shares = [of_round["calling"] / of_round["all"] for of_round in rounds]
    asked = ASKED.get(format_)
    return Row(
        f"{format_}, the calling thread's share",
        f"{median(shares):.1%}",
        asked="" if asked is None else f"<{asked:.0%}",
        kept=None if asked is None else median(shares) <= asked,
        remark=f"of {whole:.1f} s of CPU; "
        + ", ".join(
            f"{name.removeprefix('quantize-')} {seconds:.2f} s binds at {computed / seconds:.0f} threads"
            for name, seconds in taken.items()
        ),
    )


if __name__ == "__main__":
    main()
