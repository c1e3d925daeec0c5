"""What a method has chosen for one file."""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.methods.factors import Factors
from quantize_cli.methods.rounded import Rounded


@dataclass(frozen=True, eq=False, slots=True)
class Chosen:
    """Blocks of some tensors, and foldings of weights; the reference's search makes all other blocks."""

    rounded: Rounded
    factors: Factors | None
