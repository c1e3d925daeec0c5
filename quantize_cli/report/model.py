"""The report of a run as one versioned value; renderers are pure functions of it.

The JSON report is this dataclass, field by field (see docs/report.md). `schema_version` grows by one whenever a field
changes its meaning or goes away; new fields alone do not change it.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.measure.errors import TensorError, WeightedError

SCHEMA_VERSION = 1


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
    seconds: float
    weights_per_second: float
    peak_memory_bytes: int  #: peak resident set of the process
    threads: int
    error: TensorError
    weighted_error: WeightedError | None  #: None without importance


@dataclass(frozen=True, slots=True)
class Report:
    """A finished run."""

    schema_version: int
    generator: str  #: "quantize-cli 0.1.0"
    model: str  #: the checkpoint's name
    architecture: str
    format: str
    output: str  #: path of the GGUF file, "-" for standard output
    totals: Totals
    types: tuple[TypeReport, ...]  #: most bytes first
    tensors: tuple[TensorReport, ...]  #: in file order
    warnings: tuple[str, ...]
