"""Other ways in which the same weights lie in a checkpoint."""

from __future__ import annotations

import re

import numpy as np
from golden.families.case import Arrays, Layout

EXPERT = re.compile(r"(?P<experts>.*\.experts)\.(?P<number>\d+)\.(?P<kind>\w+)\.weight")


def stacked(tensors: Arrays, names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")) -> Arrays:
    """Stack each layer's experts as transformers 5 holds them: gate above up in one tensor, and down.

    `names` are those of the single experts' gate, up and down.
    """
    gate, up, down = names
    rest: Arrays = {}
    experts: dict[str, dict[str, list[np.ndarray]]] = {}
    for name, values in tensors.items():
        if match := EXPERT.fullmatch(name):
            experts.setdefault(match["experts"], {}).setdefault(match["kind"], []).append(values)
        else:
            rest[name] = values
    for prefix, kinds in experts.items():
        rest[f"{prefix}.gate_up_proj"] = np.concatenate([np.stack(kinds[gate]), np.stack(kinds[up])], axis=1)
        rest[f"{prefix}.down_proj"] = np.stack(kinds[down])
    return rest


def renamed(*pairs: tuple[str, str]) -> Layout:
    """Return a layout that replaces the first prefix that fits: pairs of an old and a new one."""

    def layout(tensors: Arrays) -> Arrays:
        return {_renamed(name, pairs): values for name, values in tensors.items()}

    return layout


def _renamed(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
