"""What fits into a memory as one versioned value; docs/advise.md describes it as JSON.

`SCHEMA_VERSION` grows by one whenever a field changes its meaning or goes away; new fields alone do not change it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from quantize_cli.planning.memory import RunMemory
from quantize_cli.version import GENERATOR

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that a model can be run from."""

    model: str  #: its short name
    location: str  #: the path or Hub id that was given
    parameters: int
    active_parameters: int | None  #: those that take part in one token; None if the number of used experts is not known
    format: str | None  #: None if a finished file does not state one
    file_bytes: int
    bits_per_weight: float
    memory: RunMemory
    file: str | None = None  #: the finished file; None if quantize would write it
    needs: tuple[str, ...] = ()  #: options without which the format is refused: "imatrix"
    mean_kld: float | None = None  #: nats a token, as `quantize eval` has measured it for the file; None: not measured
    mean_kld_error: float | None = None  #: its standard error


@dataclass(frozen=True, slots=True)
class Advice:
    """The offers that fit, and what there is to know of the other models."""

    limit: int  #: bytes of memory
    offers: tuple[Offer, ...]  #: those that fit: most parameters first, and of each model most bits first
    too_large: tuple[Offer, ...]  #: the smallest offer of each model of which none fits
    unknown: tuple[str, ...]  #: locations of models for which it is not known what llama.cpp keeps of a context

    def headroom(self, offer: Offer) -> int:
        """Return the bytes of memory that an offer leaves; negative if it does not fit."""
        return self.limit - offer.memory.total

    def to_dict(self) -> dict[str, Any]:
        """Return the object that docs/advise.md describes."""
        return {
            "schema_version": SCHEMA_VERSION,
            "generator": GENERATOR,
            "limit_bytes": self.limit,
            "offers": [self._plain(offer) for offer in self.offers],
            "too_large": [self._plain(offer) for offer in self.too_large],
            "unknown": list(self.unknown),
        }

    def _plain(self, offer: Offer) -> dict[str, Any]:
        return {
            **asdict(offer),
            "needs": list(offer.needs),
            "memory": {**asdict(offer.memory), "total": offer.memory.total},
            "headroom_bytes": self.headroom(offer),
        }
