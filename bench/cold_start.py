"""What the first run of a format costs: the whole command with an empty cache of kernels, and again.

    python bench/cold_start.py [FORMAT ...]

The model is a tiny one, whose weights take no time, so that what is left is start and compilation.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from _command import PRE_TOKENIZER, generate, quantize
from _table import Row, show

#: Format -> how many seconds its first run may take longer.
ASKED = {"q4_k_m": 4.0, "iq4_xs": 10.0, "q8_0": 2.0}
ROUNDS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", metavar="FORMAT", nargs="*", default=list(ASKED))
    show(rows(parser.parse_args().formats))


def rows(formats: Sequence[str] = tuple(ASKED)) -> Iterator[Row]:
    """Yield a row for each format: the first run's cost over a later one."""
    with tempfile.TemporaryDirectory(prefix="quantize-bench-") as name:
        folder = Path(name)
        model = generate(folder / "model", "tiny")
        for format_ in formats:
            cold: list[float] = []
            warm: list[float] = []
            computing: list[float] = []
            for number in range(ROUNDS):
                environment = {"NUMBA_CACHE_DIR": str(folder / f"cache-{format_}-{number}")}
                used = [_computing()]
                for found in (cold, warm):
                    usage = quantize(model, format_, folder / "output.gguf", *PRE_TOKENIZER, environment=environment)
                    found.append(usage.seconds)
                    used.append(_computing())
                computing.append(2 * used[1] - used[0] - used[2])
            extra = median(cold) - median(warm)
            asked = ASKED.get(format_)
            yield Row(
                what=f"first run of {format_}",
                ours=f"+{extra:.1f} s",
                asked="" if asked is None else f"<{asked:g} s",
                kept=None if asked is None else extra <= asked,
                remark=f"{median(cold):.1f} s instead of {median(warm):.2f} s, +{median(computing):.1f} s of computing",
            )


def _computing() -> float:
    """Return the seconds that all ended children, and theirs, have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
