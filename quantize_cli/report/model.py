"""The report of a run as one versioned value; renderers are pure functions of it.

The JSON report is this dataclass, field by field (see docs/report.md). `schema_version` grows by one whenever a field
changes its meaning or goes away; new fields alone do not change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantize_cli.gates.result import GateResult
from quantize_cli.measure.errors import TensorError, WeightedError
from quantize_cli.methods.outcome import Measured
from quantize_cli.planning.model import Budgeted

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The model that was read."""

    location: str  #: the path or Hub id that was given
    repository: str | None  #: Hub id, "org/name"; None if the files do not come from the Hub's cache
    commit: str | None  #: 40 hex digits; None if it is not known


@dataclass(frozen=True, slots=True)
class ImatrixReport:
    """The importance matrix of a run."""

    file: str  #: its path as it was given
    entries: int  #: tensors that it knows, after --include-weights and --exclude-weights
    chunks: int  #: pieces of text that it was computed on; unknown if 0 or less
    datasets: tuple[str, ...]  #: names of the text files that it was computed on


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of the output."""

    path: str  #: "-" for standard output
    bytes: int
    sha256: str  #: 64 hex digits


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One tensor of the output."""

    name: str  #: GGUF name
    sources: tuple[str, ...]  #: tensor names in the checkpoint
    shape: tuple[int, ...]  #: row-major, as in the checkpoint
    source_dtype: str
    type: str  #: GGML name of the target type
    reason: str  #: the reason for its type
    source_bytes: int
    bytes: int
    bits_per_weight: float
    error: TensorError
    weighted_error: WeightedError | None  #: None without importance
    cost: float | None = None  #: what its type costs, measured before, in nats a token; None where no cost decided
    #: what has rounded it: "reference", or a method's name; None if it is copied, or not quantized
    rounded_by: str | None = None


@dataclass(frozen=True, slots=True)
class TypeReport:
    """All tensors of one target type together."""

    type: str
    tensors: int
    weights: int
    bytes: int
    bits_per_weight: float
    error: TensorError
    weighted_error: WeightedError | None  #: None without importance


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole file and the whole run."""

    tensors: int
    weights: int
    source_bytes: int
    bytes: int  #: tensor data of the output, padding excluded
    file_bytes: int  #: the whole GGUF file
    bits_per_weight: float
    compile_seconds: float  #: before the run, for kernels that were not in the cache
    seconds: float  #: downloads and compiling excluded
    weights_per_second: float
    peak_memory_bytes: int  #: peak resident set of the process
    threads: int
    error: TensorError
    weighted_error: WeightedError | None  #: None without importance


@dataclass(frozen=True, slots=True)
class MethodReport:
    """A method, and what it gave."""

    name: str  #: what --method has asked for
    rounded_by: str  #: what has rounded the file: that name, or "reference" if that is better
    kept: str  #: the title of the file that was written, the best of `files`
    text: str  #: what files were compared on
    files: tuple[Measured, ...]  #: the method's file first
    chosen: tuple[str, ...]  #: tensors for which the method's blocks are better, by inputs of texts that are held out
    searched: tuple[str, ...]  #: tensors for which those of the reference's own search are
    without: tuple[str, ...]  #: quantized tensors that the method cannot round
    foldings: int  #: how many times scales are moved from one matrix to another before the rounding
    seconds: float  #: for choosing and comparing; those of earlier runs, which were stopped, are not in it


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """A finished run in one format."""

    schema_version: int
    generator: str  #: "quantize-cli 0.1.0"
    model: str  #: the checkpoint's name
    architecture: str
    source: SourceReport
    imatrix: ImatrixReport | None  #: None without an importance matrix
    options: Mapping[str, Any]  #: keywords of the library that were given, as JSON values
    format: str
    output: str  #: path of the GGUF file, or of its first part; "-" for standard output
    files: tuple[FileReport, ...]  #: all parts
    totals: Totals
    types: tuple[TypeReport, ...]  #: most bytes first
    tensors: tuple[TensorReport, ...]  #: in file order
    warnings: tuple[str, ...]
    gates: tuple[GateResult, ...] = ()  #: those that were checked, and what became of each
    budget: Budgeted | None = None  #: what decided the types in a format's place
    method: MethodReport | None = None  #: None where all tensors are rounded by the reference's own search

    @property
    def unchanged(self) -> bool:
        """Whether every tensor of the output is its source as it stands, in type and in values."""
        return self.totals.error.rmse == 0 and all(tensor.type == tensor.source_dtype for tensor in self.tensors)

    def __repr__(self) -> str:
        """Summarise the run in one line."""
        from quantize_cli.report.figures import one_line

        return f"<Report: {one_line(self)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as an object of strict JSON; see docs/report.md."""
        from quantize_cli.report.json_report import as_json

        return dict(as_json(self))

    def to_markdown(self) -> str:
        """Return the report as GitHub-flavoured Markdown."""
        from quantize_cli.report.markdown import render

        return render([self])

    def to_html(self) -> str:
        """Return the report as an HTML page that needs no other file."""
        from quantize_cli.report.html import render

        return render([self])

    def _repr_html_(self) -> str:
        """Return the summary that a notebook shows."""
        from quantize_cli.report.html import summary

        return summary(self)
