"""A golden record, and how tests of a diagnosis break it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from architectures.refusals import refuse

GOLDEN = Path(__file__).parent / "golden"
Q = "model.layers.0.self_attn.q_proj"


def load(stem: str = "llama-untied") -> dict[str, Any]:
    """Load a record: llama-untied has two layers, hidden 256, 4 heads, 2 key-value heads, ffn 512, vocabulary 512."""
    return json.loads((GOLDEN / f"{stem}.json").read_text())


def rows(number: int):
    return lambda shape: [number, *shape[1:]]


def told(make_checkpoint, changes, kind, *words):
    record = load()
    for change in changes:
        change(record)
    return refuse(make_checkpoint(**record), kind, *words)
