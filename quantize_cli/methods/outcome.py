"""What a method gave, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.evaluation.model import Difference, Divergence

REFERENCE = "reference"


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
    def files(self) -> tuple[Measured, ...]:
        """All files that were compared, the method's first."""
        return self.ours, *self.others

    @property
    def best(self) -> Measured:
        """The file that is the nearest to the original; the method's if several are."""
        return min(self.files, key=lambda file: file.divergence.mean_kld)

    @property
    def better(self) -> bool:
        """Whether no other file is nearer to the original than the method's."""
        return self.best is self.ours

    @property
    def rounded_by(self) -> str:
        """What has rounded the best file: the method, or the reference's search."""
        return self.method if self.better else REFERENCE
