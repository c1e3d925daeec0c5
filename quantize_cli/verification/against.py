"""The comparison of a file's tensors with those that its model gives, derived again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import listed, shown
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.observer import Observer
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.run.crew import Crew
from quantize_cli.run.derive import Derive
from quantize_cli.run.executor import in_order
from quantize_cli.run.slabs import SLAB_WEIGHTS, Slab, slabs_of
from quantize_cli.verification.metadata import different_values, notes_on_keys
from quantize_cli.verification.model import Compared, Findings

#: Weights in a slab if only some are compared.
_SAMPLE_WEIGHTS = 1 << 15


def compare_headers(file: GgufCheckpoint, plan: Plan, findings: Findings, notes: list[str]) -> frozenset[str]:
    """Compare metadata and tables of tensors; return the names of the tensors that can be compared byte for byte."""
    path, planned = file.location, plan.files[0].metadata
    if keys := list(different_values(file.metadata, planned)):
        findings.add(
            "metadata",
            path,
            f"{path} has other values than the model gives for {listed([shown(key) for key in keys])}; check that it "
            "was made from this model.",
        )
    notes += notes_on_keys(file.metadata, planned, path)
    wanted = {tensor.name: tensor for tensor in plan.tensors}
    for names, what in ((wanted.keys() - file.infos.keys(), "lacks"), (file.infos.keys() - wanted.keys(), "has")):
        if names:
            other = "has" if what == "lacks" else "does not have"
            listing = listed([shown(name) for name in sorted(names)])
            findings.add("tensors", path, f"{path} {what} {len(names)} tensors that the model {other} ({listing}).")
    shared = [tensor for name, tensor in wanted.items() if name in file.infos]
    _check_types(shared, file.infos, plan, path, findings)
    return frozenset(
        tensor.name
        for tensor in shared
        if file.infos[tensor.name].dtype == tensor.type and _same_shape(file.infos[tensor.name], tensor)
    )


def _check_types(
    tensors: Sequence[PlannedTensor], infos: Mapping[str, TensorInfo], plan: Plan, path: str, findings: Findings
) -> None:
    for tensor in tensors:
        if not _same_shape(infos[tensor.name], tensor):
            findings.add(
                "tensors",
                path,
                f"{path}: tensor {shown(tensor.name)} has the shape {list(infos[tensor.name].shape)}, but the model "
                f"gives {list(tensor.shape)}; check that the file was made from this model.",
                tensor.name,
            )
    other = [tensor for tensor in tensors if infos[tensor.name].dtype != tensor.type]
    if other:
        examples = listed([f"{shown(t.name)} is {infos[t.name].dtype}, not {t.type}" for t in other])
        findings.add(
            "tensors",
            path,
            f"{path} has other types than {plan.format} gives for {len(other)} tensors ({examples}), which are not "
            "compared; give the options on types with which it was made.",
        )


def _same_shape(info: TensorInfo, tensor: PlannedTensor) -> bool:
    """Tell whether shapes are the same but for leading dimensions of 1, which files do not write down."""
    return (info.rows, info.shape[-1]) == (tensor.rows, tensor.columns)


def compare_tensors(
    file: GgufCheckpoint,
    source: Checkpoint,
    plan: Plan,
    names: frozenset[str],
    importance: ImportanceMatrix | None,
    *,
    sample: int | None,
    threads: int,
    observer: Observer,
    findings: Findings,
) -> Compared:
    """Derive the tensors `names` again, or `sample` slabs of each, and compare bytes.

    Raises:
        CheckpointError: A file changed, or the model holds NaN or infinite weights.
    """
    if sample is None:
        observer.started(plan)
    crew = Crew(Derive(source, importance), threads)
    nbytes = 0
    try:
        made = in_order(crew, _slabs(plan, names, sample), 2 * crew.threads)
        for name, results in groupby(made, key=lambda result: result[0].tensor.name):
            rows: list[int] = []
            for slab, (result,) in results:
                if slab.first:
                    observer.tensor_started(slab.tensor)
                there = file.read_bytes(name, slab.start, slab.stop)
                derived = result.packed.reshape(there.shape)
                rows += (slab.start + np.flatnonzero((there != derived).any(axis=1))).tolist()
                nbytes += there.size
                observer.weights_done(slab.weights)
            if rows:
                findings.add(
                    "bytes",
                    file.location,
                    f"{file.location}: tensor {shown(name)} differs from what the model gives in {len(rows):,} "
                    f"rows, first in row {rows[0]:,}; check the model, the options and the importance matrix with "
                    "which it was made.",
                    name,
                )
    except BaseException as error:
        crew.stop(wait=isinstance(error, Exception))
        raise
    crew.stop(wait=True)
    return Compared(source.location, plan.format, len(names), nbytes, sum(tensor.nbytes for tensor in plan.tensors))


def _slabs(plan: Plan, names: frozenset[str], sample: int | None) -> Iterator[Slab]:
    """Yield all slabs of the tensors, or some of each, the same in every run."""
    slabs = slabs_of([plan], SLAB_WEIGHTS if sample is None else _SAMPLE_WEIGHTS)
    for name, of_tensor in groupby(slabs, key=lambda slab: slab.tensor.name):
        if name not in names:
            continue
        if sample is None:
            yield from of_tensor
            continue
        every = list(of_tensor)
        chosen = random.Random(name).sample(range(len(every)), min(sample, len(every)))
        yield from (every[number] for number in sorted(chosen))
