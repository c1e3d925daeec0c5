"""An outcome as a small file, so that a run that goes on does not measure again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantize_cli.evaluation.model import Difference, Divergence
from quantize_cli.methods.outcome import Measured, Outcome
from quantize_cli.outputs.refusals import writing


def write_outcome(outcome: Outcome, path: Path) -> None:
    """Write an outcome, which is whole when it has its name.

    Raises:
        OutputError: The system refuses it.
    """
    begun = path.with_suffix(".part")
    with writing(path):
        begun.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        begun.replace(path)


def read_outcome(path: Path) -> Outcome | None:
    """Read an outcome; None if it is not there, or is not one."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(
            **{
                **held,
                "ours": _measured(held["ours"]),
                "others": tuple(map(_measured, held["others"])),
                **{name: tuple(held[name]) for name in ("chosen", "searched", "without")},
            }
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _measured(held: Mapping[str, Any]) -> Measured:
    difference = held["difference"]
    return Measured(
        held["title"],
        held["nbytes"],
        Divergence(**held["divergence"]),
        None if difference is None else Difference(**difference),
    )
