"""A budget of bytes in a format's place: how large the file may be, and what types there are to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.budget import Costs, TypeSet
from quantize_cli.planning.memory import memory_to_run
from quantize_cli.planning.model import Plan


@dataclass(frozen=True, slots=True)
class Trial:
    """A plan of the same model and options, by which a budget becomes a number of bytes."""

    plan: Plan
    around: int  #: bytes of its files beside the tensors' data
    plan_of: Callable[[Mix], Plan]  #: the plan with a mix in place of the budget


class Amount(Protocol):
    """How large the file may be."""

    @property
    def said(self) -> str:
        """The option and its value, as in "--target-size 5.5G"."""
        ...

    def file_bytes(self, trial: Trial, /) -> int:
        """Return the most bytes of all files together.

        Raises:
            QuantizeError: It cannot be told, or nothing is left for the file.
        """
        ...


@dataclass(frozen=True, slots=True)
class TargetSize:
    """A size of the file: header, metadata, padding, tensors and digests."""

    said: str
    nbytes: int

    def file_bytes(self, _trial: Trial, /) -> int:
        """Return that size."""
        return self.nbytes


@dataclass(frozen=True, slots=True)
class TargetBits:
    """A number of bits for each weight, over all tensors; what else the file holds is not counted."""

    said: str
    bits: float

    def file_bytes(self, trial: Trial, /) -> int:
        """Return the bytes of the tensors in so many bits, and of what is around them."""
        return int(self.bits * trial.plan.weights / 8) + trial.around


@dataclass(frozen=True, slots=True)
class Like:
    """The size that a format's file has."""

    said: str
    mix: Mix

    def file_bytes(self, trial: Trial, /) -> int:
        """Return the size of the file in that format, with the same other options."""
        return trial.plan_of(self.mix).file_bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory for the whole file, the context's keys and values, and the compute buffer; see `planning/memory.py`."""

    said: str
    nbytes: int
    context: int | None  #: tokens; None is the model's number, at most `memory.USUAL_CONTEXT`

    def file_bytes(self, trial: Trial, /) -> int:
        """Return what the context and the compute buffer leave."""
        needed = memory_to_run(trial.plan.files[0].metadata, 0, self.context)
        if needed is None:
            raise UnsupportedError(
                f"It is not known what llama.cpp keeps of a context for the architecture {trial.plan.architecture}; "
                "give the size of the file with --target-size in place of --memory."
            )
        if needed.total >= self.nbytes:
            raise UsageError(
                f"A context of {needed.context:,} tokens takes {needed.kv_cache:,} bytes and the compute buffer "
                f"{needed.compute:,}, so {self.said} leaves nothing for the file; give more, or a smaller --context."
            )
        return self.nbytes - needed.total


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked for."""

    amount: Amount
    types: TypeSet | None = None  #: None is all that have costs, or without a calibration the set "k"
    #: Name of a tensor -> its costs in nats a token; None without a calibration
    costs: Mapping[str, Costs] | None = field(default=None, compare=False)
