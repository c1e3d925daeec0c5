"""From a finished run to its report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gates.result import GateResult
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.measure.errors import error_from_sums, weighted_error
from quantize_cli.measure.sums import Sums
from quantize_cli.methods.outcome import REFERENCE, Outcome
from quantize_cli.outputs.sinks import Written
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.report.memory import peak_memory
from quantize_cli.report.model import (
    SCHEMA_VERSION,
    FileReport,
    ImatrixReport,
    MethodReport,
    Report,
    SourceReport,
    TensorReport,
    Totals,
    TypeReport,
)
from quantize_cli.version import GENERATOR


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts of a run that neither the plan nor the result has."""

    source: SourceReport
    imatrix: ImatrixReport | None
    options: Mapping[str, Any]
    compile_seconds: float  #: spent on kernels that were not in the cache; not a part of `seconds`
    seconds: float
    threads: int


def build_report(
    plan: Plan,
    sums: Sums,
    written: Sequence[Written],
    facts: RunFacts,
    gates: Sequence[GateResult] = (),
    outcome: Outcome | None = None,
) -> Report:
    """Report what a run made of `plan`.

    Args:
        plan: The plan.
        sums: The error sums of its tensors, float64[tensors, SUMS].
        written: The parts of the model, or the stream.
        facts: What else is known of the run.
        gates: What became of the gates.
        outcome: What a method gave; None without a method.
    """
    files = tuple(FileReport(str(file.path or "-"), file.nbytes, file.sha256) for file in written)
    by_type: dict[str, list[int]] = defaultdict(list)
    for index, tensor in enumerate(plan.tensors):
        by_type[tensor.type].append(index)
    types = [_type_report(plan, sums, indices) for indices in by_type.values()]
    return Report(
        schema_version=SCHEMA_VERSION,
        generator=GENERATOR,
        model=plan.model,
        architecture=plan.architecture,
        source=facts.source,
        imatrix=facts.imatrix,
        options=facts.options,
        format=plan.format,
        output=files[0].path,
        files=files,
        totals=_totals(plan, sums, facts),
        types=tuple(sorted(types, key=lambda row: -row.bytes)),
        tensors=tuple(_tensor_report(plan, sums, index, outcome) for index in range(len(plan.tensors))),
        warnings=plan.warnings,
        gates=tuple(gates),
        budget=plan.budget,
        method=None if outcome is None else _method_report(outcome),
    )


def _method_report(outcome: Outcome) -> MethodReport:
    return MethodReport(
        name=outcome.method,
        rounded_by=outcome.rounded_by,
        kept=outcome.best.title,
        text=outcome.text,
        files=outcome.files,
        chosen=outcome.chosen,
        searched=outcome.searched,
        without=outcome.without,
        foldings=outcome.foldings,
        seconds=outcome.seconds,
    )


def _rounded_by(tensor: PlannedTensor, outcome: Outcome | None) -> str | None:
    """Return what has rounded a tensor, or None if nothing has."""
    if tensor.copied or not GGML_TYPES[tensor.type].quantized:
        return None
    return outcome.method if outcome is not None and outcome.better and tensor.name in outcome.chosen else REFERENCE


def _tensor_report(plan: Plan, sums: NDArray[np.float64], index: int, outcome: Outcome | None) -> TensorReport:
    tensor = plan.tensors[index]
    return TensorReport(
        name=tensor.name,
        sources=tensor.sources,
        shape=tensor.shape,
        source_dtype=tensor.source_dtype,
        type=tensor.type,
        reason=tensor.reason,
        source_bytes=tensor.source_bytes,
        bytes=tensor.nbytes,
        bits_per_weight=tensor.nbytes * 8 / tensor.weights,
        error=error_from_sums(sums[[index]], tensor.weights),
        weighted_error=weighted_error(sums[[index]]),
        cost=tensor.cost,
        rounded_by=_rounded_by(tensor, outcome),
    )


def _type_report(plan: Plan, sums: NDArray[np.float64], indices: list[int]) -> TypeReport:
    tensors = [plan.tensors[index] for index in indices]
    weights = sum(tensor.weights for tensor in tensors)
    nbytes = sum(tensor.nbytes for tensor in tensors)
    return TypeReport(
        type=tensors[0].type,
        tensors=len(tensors),
        weights=weights,
        bytes=nbytes,
        bits_per_weight=nbytes * 8 / weights,
        error=error_from_sums(sums[indices], weights),
        weighted_error=weighted_error(sums[indices]),
    )


def _totals(plan: Plan, sums: NDArray[np.float64], facts: RunFacts) -> Totals:
    nbytes = sum(tensor.nbytes for tensor in plan.tensors)
    return Totals(
        tensors=len(plan.tensors),
        weights=plan.weights,
        source_bytes=sum(tensor.source_bytes for tensor in plan.tensors),
        bytes=nbytes,
        file_bytes=plan.file_bytes,
        bits_per_weight=nbytes * 8 / plan.weights,
        compile_seconds=facts.compile_seconds,
        seconds=facts.seconds,
        weights_per_second=plan.weights / facts.seconds,
        peak_memory_bytes=peak_memory(),
        threads=facts.threads,
        error=error_from_sums(sums, plan.weights),
        weighted_error=weighted_error(sums),
    )
