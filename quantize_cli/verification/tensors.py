"""The comparison of a file's tensors with those that its model gives, derived again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import shown
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.observer import Observer
from quantize_cli.planning.model import Plan
from quantize_cli.run.crew import Crew
from quantize_cli.run.derive import Derive
from quantize_cli.run.executor import in_order
from quantize_cli.run.reading_ahead import reading_of
from quantize_cli.run.slabs import SLAB_WEIGHTS, Slab, slabs_of
from quantize_cli.verification.model import Compared, Findings

#: Weights in a slab if only some are compared.
_SAMPLE_WEIGHTS = 1 << 15


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
    reading = reading_of(source, observer)
    crew = Crew(Derive(source, importance), threads)
    nbytes = 0
    try:
        made = in_order(crew, reading.ready(_slabs(plan, names, sample)), 2 * crew.threads)
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
                reading.release()
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
        reading.stop()
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
