"""What a method gave, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.evaluation.model import Difference, Divergence


@dataclass(frozen=True, slots=True)
class Measured:
    """How far a file's predictions are from the original's."""

    title: str  #: "gptq", "the same types, llama.cpp's search", "Q3_K_M with imatrix"
    nbytes: int  #: of all tensors
    divergence: Divergence
    #: the method's KLD less this one's, token by token; None for the method's own file
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a method."""

    method: str
    text: str  #: "part C of the built-in texts"
    ours: Measured
    others: tuple[Measured, ...]  #: the same types by the reference's search, and perhaps a format of the same bytes
    chosen: tuple[str, ...]  #: tensors whose blocks are the method's
    searched: tuple[str, ...]  #: quantized tensors whose blocks are the reference's search's, which was better there
    without: tuple[str, ...]  #: quantized tensors that the method cannot round; the reference's search rounds them
    foldings: int  #: how many scales' moves are kept
    seconds: float

    @property
    def better(self) -> bool:
        """Whether the method's file is nearer to the original than all others."""
        return all(self.ours.divergence.mean_kld <= other.divergence.mean_kld for other in self.others)
