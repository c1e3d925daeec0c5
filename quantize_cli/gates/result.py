"""What became of a gate; a module of its own, because reports need it and nothing else of gates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of one gate."""

    gate: str  #: as it is written on the command line: "--max-rmse attn_v=0.05"
    limit: float  #: a ratio, decibels or bytes
    value: float  #: the same; of several tensors, the one that is nearest to the limit or farthest beyond it
    shown: str  #: the value with its unit
    tensor: str | None  #: the tensor that has this value; None is for the whole model
    beyond: int  #: number of tensors beyond the limit; of a whole model, 0 or 1
    passed: bool
