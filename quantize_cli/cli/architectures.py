"""The list of models that convert, for people and as JSON, on standard output."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from quantize_cli.cli import console, table

if TYPE_CHECKING:
    from quantize_cli.architectures.catalogue import ArchitectureFacts

_LEGEND = """
class   what config.json names in `architectures`; --json also lists base classes
GGUF    general.architecture of the file; GGUF files of every architecture can be
        quantized"""


def show(classes: Sequence[ArchitectureFacts], *, as_json: bool) -> None:
    """Print the list."""
    if as_json:
        console.put(json.dumps([dataclasses.asdict(facts) for facts in classes], indent=2))
        return
    rows = [(facts.class_name, facts.architecture, facts.models) for facts in classes]
    console.put("\n".join(table.lines(("class", "GGUF", "models"), rows)))
    console.put(_LEGEND)
