"""The data files of this folder: facts about the reference, parsed once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

#: Any value that a JSON file may hold.
Json: TypeAlias = Any

FOLDER = Path(__file__).with_name("data")


@cache
def read_data(name: str) -> Mapping[str, Json]:
    """Return the content of a data file. Callers share it, so nobody may change it."""
    content: Mapping[str, Json] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return content
