"""A preview of a run as one versioned value; docs/plan.md describes it as JSON.

`SCHEMA_VERSION` grows by one whenever a field changes its meaning or goes away; new fields alone do not change it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from quantize_cli.inspection.model import Source
from quantize_cli.planning.as_json import plan_as_json
from quantize_cli.planning.format_sizes import FormatSize
from quantize_cli.planning.memory import RunMemory
from quantize_cli.planning.model import Plan
from quantize_cli.version import GENERATOR

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """One format to choose."""

    size: FormatSize
    memory: RunMemory | None  #: to run the file; None if it is refused, or its architecture's memory is not known
    fits: bool | None = None  #: whether that memory is in the limit; None if there is no limit, or it is not known


@dataclass(frozen=True, slots=True)
class Needs:
    """What the run itself takes."""

    threads: int
    memory_bytes: int  #: peak resident memory, an estimate
    download_bytes: int
    disk_bytes: int  #: the files, the download, and what a method keeps beside the files; nothing else is written


@dataclass(frozen=True, slots=True)
class Preview:
    """What `quantize` would do."""

    model: str  #: the checkpoint's name
    architecture: str
    source: Source
    choices: tuple[Choice, ...]  #: of the formats that were asked for, or of all, largest file first
    plans: tuple[Plan, ...] = field(default=(), repr=False)  #: of the formats that were asked for
    needs: Needs | None = None  #: of one run that writes all plans; None without plans
    limit: int | None = None  #: bytes of memory that a choice must fit

    def to_dict(self) -> dict[str, Any]:
        """Return the object that docs/plan.md describes."""
        return {
            "schema_version": SCHEMA_VERSION,
            "generator": GENERATOR,
            "model": self.model,
            "architecture": self.architecture,
            "source": asdict(self.source),
            "limit_bytes": self.limit,
            "choices": [_choice(choice) for choice in self.choices],
            "needs": None if self.needs is None else asdict(self.needs),
            "plans": [plan_as_json(plan) for plan in self.plans],
        }


def _choice(choice: Choice) -> dict[str, Any]:
    memory = choice.memory
    return {
        **asdict(choice.size),
        "needs": list(choice.size.needs),
        "memory": None if memory is None else {**asdict(memory), "total": memory.total},
        "fits": choice.fits,
    }
