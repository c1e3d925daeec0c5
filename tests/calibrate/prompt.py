"""Calibrations and evaluations of a small model, as a user starts them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from quantize_cli.calibrate.calibrate import calibrate
from quantize_cli.calibrate.evaluate import evaluate
from quantize_cli.evaluation.model import Evaluation
from quantize_cli.observer import Observer

#: A small Llama with a tokenizer that llama.cpp knows, and a text that it was not trained on.
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "shakespeare-llama"
TEXT = EXAMPLE / "held_out.txt"
FEW: dict[str, Any] = {"texts": (TEXT,), "context": 16, "tokens": 48}


class Stopper(Observer):
    """Stops a run, as Ctrl-C does, once `done` parts of a step are done."""

    def __init__(self, step: str, done: int) -> None:
        self._when = step, done

    def stage(self, name: str, done: int, total: int) -> None:
        if (name, done) == self._when:
            raise KeyboardInterrupt


def calibrated(output: Path, model: Path = EXAMPLE, **options: Any) -> bytes:
    """Calibrate a model on a few tokens; return the file."""
    calibrate(model, output, **{**FEW, "types": ("Q4_0", "Q8_0"), **options})
    return output.read_bytes()


def evaluated(*files: Path, against: Path = EXAMPLE, **options: Any) -> Evaluation:
    """Compare files with their original on a few tokens."""
    return evaluate(files, against, **{**FEW, **options})


def copied(folder: Path) -> Path:
    """Copy the example, to break the copy."""
    shutil.copytree(EXAMPLE, folder)
    return folder


def left(folder: Path) -> list[str]:
    """Return the names of everything in a folder."""
    return sorted(path.name for path in folder.iterdir())
