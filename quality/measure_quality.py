"""What each format, each method of the literature and each byte budget loses, on two models.

    python quality/measure_quality.py [--text FILE] [--model NAME] [--checkpoint FOLDER] [--work FOLDER]

With --checkpoint, the model in a folder takes the place of the two. For each model, the folder of --work gets
NAME.json, NAME.md and NAME.html, and a folder with the files that were measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import _page
import _results
from _measure import measure
from _subjects import Subject, example, original, smollm2

from quantize_cli.cli.console import progress
from quantize_cli.errors import QuantizeError
from quantize_cli.report.evaluations.write import write_evaluation


def main() -> None:
    """Measure the models one after the other, and write what was found as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text",
        type=Path,
        help="one half calibrates SmolLM2 or FOLDER's model, the other is reported; else our own texts",
    )
    parser.add_argument("--tokens", type=int, default=10_240, help="most tokens of the reported text; default 10240")
    parser.add_argument("--calibration-tokens", type=int, help="most tokens that calibrate; default 16384")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", choices=("shakespeare-llama", "smollm2"), help="this one alone")
    which.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="the model in FOLDER alone")
    parser.add_argument("--device", default="cpu", help="torch's name of a device")
    parser.add_argument("--work", type=Path, default=Path("out/quality"), help="default out/quality")
    arguments = parser.parse_args()
    most = {"tokens": arguments.tokens, "calibration_tokens": arguments.calibration_tokens}
    subjects: Mapping[str, Callable[[Path], Subject]] = {
        "shakespeare-llama": partial(example, **most),
        "smollm2": partial(smollm2, text=arguments.text, **most),
    }
    if arguments.checkpoint is not None:
        folder = arguments.checkpoint.resolve()
        subjects = {folder.name: partial(original, folder=folder, text=arguments.text, **most)}
    for name, make in subjects.items():
        if arguments.model in (None, name):
            work = arguments.work / name
            work.mkdir(parents=True, exist_ok=True)
            print(f"{name}:", file=sys.stderr)
            with progress() as observer:
                quality = measure(make(work), work, arguments.device, observer)
            _write(quality, arguments.work / name)


def _write(quality: _results.Quality, path: Path) -> None:
    path.with_suffix(".json").write_text(_results.to_json(quality), "ascii")
    path.with_suffix(".md").write_text(page := _page.render(quality), "utf-8")
    write_evaluation(quality.evaluation, path.with_suffix(".html"), force=True)
    print(page)


if __name__ == "__main__":
    try:
        main()
    except QuantizeError as error:
        sys.exit(str(error))
