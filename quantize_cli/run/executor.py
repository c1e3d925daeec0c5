"""Fill plans with bytes: slabs of rows, read, decoded, quantized and measured on threads, written in order.

Several plans of one checkpoint are filled by one pass over it. Whatever they make of a tensor alike, the same type with
the same importance, is made once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.header import padded
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.sums import SUM_D2, SUMS, merge
from quantize_cli.observer import Observer
from quantize_cli.plan.model import Plan, PlannedTensor
from quantize_cli.run.sinks import Sink

#: Weights in a slab, whose float32 rows still fit a shared cache; with many threads, less.
SLAB_WEIGHTS = 1 << 19
#: Weights in flight, in all slabs together. They take about 14 bytes each: 224 MiB.
WEIGHTS_IN_FLIGHT = 1 << 24
#: Weights decoded and measured at a time, so that they stay in a core's own cache.
TILE_WEIGHTS = 1 << 15

Packed = NDArray[np.uint8]
Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slab:
    """Some rows of one tensor, and what each plan makes of that tensor."""

    tensors: tuple[PlannedTensor, ...]
    start: int
    stop: int

    @property
    def tensor(self) -> PlannedTensor:
        """The tensor as the first plan has it; its source and shape are those of all."""
        return self.tensors[0]

    @property
    def weights(self) -> int:
        """Number of weights."""
        return (self.stop - self.start) * self.tensor.columns

    @property
    def first(self) -> bool:
        """Whether the tensor begins here."""
        return self.start == 0

    @property
    def last(self) -> bool:
        """Whether the tensor ends here."""
        return self.stop == self.tensor.rows

    def padding(self, tensor: PlannedTensor) -> int:
        """Bytes between the end of the tensor, as one plan has it, and the next one, if it ends here."""
        return padded(tensor.nbytes) - tensor.nbytes if self.last else 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run measured: for every tensor of the plan the sums of its rows (see metrics.py), merged, f64[SUMS]."""

    sums: Sums


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a slab in one type: packed rows, uint8[n, row bytes], and their sums, float64[n, SUMS]."""

    packed: Packed
    sums: Sums


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    plans: Sequence[Plan],
    checkpoint: Checkpoint,
    sinks: Sequence[Sequence[Sink]],
    *,
    importance: ImportanceMatrix | None = None,
    threads: int | None = None,
    observer: Observer | None = None,
    slab_weights: int | None = None,
) -> list[RunResult]:
    """Write the GGUF files that `plans`, all of the same tensors, describe: `sinks` has one for each file of each plan.

    The bytes depend on the plans, the checkpoint and the importance alone, never on `threads` or `slab_weights`.

    Raises:
        CheckpointError: the checkpoint's files changed or hold NaN or infinite weights.
    """
    observer = observer or Observer()
    observer.started(plans[0])
    threads = threads or available_threads()
    ahead = 2 * threads
    slabs = _slabs(plans, slab_weights or min(SLAB_WEIGHTS, WEIGHTS_IN_FLIGHT // ahead))
    outputs = [_Output(plan, files) for plan, files in zip(plans, sinks, strict=True)]
    work = _Work(checkpoint, importance)
    with ThreadPoolExecutor(threads, thread_name_prefix="quantize") as pool:
        for slab, results in _in_order(pool, slabs, work, ahead):
            if slab.first:
                observer.tensor_started(slab.tensor)
            for output, tensor, result in zip(outputs, slab.tensors, results, strict=True):
                output.write(slab, tensor, result)
            observer.weights_done(slab.weights)
    return [RunResult(np.stack(output.sums)) for output in outputs]


class _Output:
    """Writes the files of one plan, one after another, and merges the sums of its tensors."""

    def __init__(self, plan: Plan, sinks: Sequence[Sink]) -> None:
        self.sums: list[Sums] = []
        self._row_sums: list[Sums] = []
        self._files = iter(zip(plan.files, sinks, strict=True))
        self._left = 0
        self._next_file()

    def write(self, slab: Slab, tensor: PlannedTensor, result: Result) -> None:
        """Append one slab."""
        if slab.first and self._left == 0:
            self._next_file()
        self._sink.write(result.packed.data.cast("B"))
        self._sink.write(bytes(slab.padding(tensor)))
        self._row_sums.append(result.sums)
        if slab.last:
            self.sums.append(merge(np.concatenate(self._row_sums)))
            self._row_sums.clear()
            self._left -= 1

    def _next_file(self) -> None:
        file, self._sink = next(self._files)
        self._sink.write(file.header)
        self._left = len(file.tensors)


def _in_order(
    pool: ThreadPoolExecutor, slabs: Iterator[Slab], work: _Work, ahead: int
) -> Iterator[tuple[Slab, list[Result]]]:
    """Finished slabs in the order of `slabs`; at most `ahead` are in flight, fewer where they are large."""
    in_flight = 0
    waiting: deque[tuple[Slab, Future[list[Result]]]] = deque()
    try:
        for slab in slabs:
            waiting.append((slab, pool.submit(work.convert, slab)))
            in_flight += slab.weights
            while len(waiting) >= ahead or in_flight >= WEIGHTS_IN_FLIGHT:
                done, future = waiting.popleft()
                yield done, future.result()
                in_flight -= done.weights
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _slabs(plans: Sequence[Plan], slab_weights: int) -> Iterator[Slab]:
    """Slabs of whole row groups, none with rows of two experts, each of which has an importance of its own."""
    for tensors in zip(*(plan.tensors for plan in plans), strict=True):
        tensor = tensors[0]
        group = tensor.transform.row_group if tensor.transform and len(tensor.shape) > 1 else 1
        step = max(1, slab_weights // (tensor.columns * group)) * group
        for expert in range(0, tensor.rows, tensor.rows_of_an_expert):
            end = expert + tensor.rows_of_an_expert
            for start in range(expert, end, step):
                yield Slab(tensors, start, min(end, start + step))


@dataclass(frozen=True, slots=True)
class _Work:
    """What a thread needs to convert a slab."""

    checkpoint: Checkpoint
    importance: ImportanceMatrix | None

    def convert(self, slab: Slab) -> list[Result]:
        """What each plan makes of the slab."""
        made: dict[tuple[str, str | None, bool], Result] = {}
        keys = [(tensor.type, tensor.importance, tensor.copied) for tensor in slab.tensors]
        rows: NDArray[np.float32] | None = None
        for tensor, key in zip(slab.tensors, keys, strict=True):
            if key in made:
                continue
            if tensor.copied:
                made[key] = self._copied(slab, tensor)
            else:
                rows = self._source_rows(slab) if rows is None else rows
                made[key] = _within_range(tensor, rows, self._importance_of(slab, tensor))
        return [made[key] for key in keys]

    def _importance_of(self, slab: Slab, tensor: PlannedTensor) -> NDArray[np.float32] | None:
        if self.importance is None or tensor.importance is None:
            return None
        experts = self.importance.for_tensor(tensor.importance, tensor.shape)
        assert experts is not None, "the plan has looked"
        # With four dimensions the experts come again and again.
        row: NDArray[np.float32] = experts[slab.start // tensor.rows_of_an_expert % len(experts)]
        return row

    def _copied(self, slab: Slab, tensor: PlannedTensor) -> Result:
        (source,) = tensor.sources
        packed = self.checkpoint.read_bytes(source, slab.start, slab.stop)
        sums = np.zeros((len(packed), SUMS))
        if tensor.type in BLOCK_TYPES:
            rows = _decoded(packed, tensor.type, tensor.columns)
            self._check_finite(rows, source, slab.start * tensor.columns)
            accumulate(rows, rows, None, sums)
        return Result(packed, sums)

    def _source_rows(self, slab: Slab) -> NDArray[np.float32]:
        """The slab's weights in the output's order, float32[n, columns]."""
        tensor = slab.tensor
        if tensor.values is not None:
            return np.array(tensor.values, np.float32).reshape(-1, tensor.columns)[slab.start : slab.stop]
        (source,) = tensor.sources
        rows = _decoded(self.checkpoint.read_bytes(source, slab.start, slab.stop), tensor.source_dtype, tensor.columns)
        self._check_finite(rows, source, slab.start * tensor.columns)
        if tensor.transform is not None:
            # To a transform a vector is a column: its elements are moved as rows are.
            moved = tensor.transform.apply(rows.reshape(-1) if len(tensor.shape) == 1 else rows)
            rows = np.ascontiguousarray(moved).reshape(rows.shape)
        return rows

    def _check_finite(self, rows: NDArray[np.float32], source: str, first: int) -> None:
        """`first` is the number of the first weight of `rows` within its tensor."""
        if np.isfinite(rows).all():
            return
        info = self.checkpoint.infos[source]
        flat = int(np.argmin(np.isfinite(rows)))
        index = [int(i) for i in np.unravel_index(first + flat, info.shape)]
        raise CheckpointError(
            f"Tensor {source} in {info.file} holds {rows.reshape(-1)[flat]} at index {index}; "
            "a model with NaN or infinite weights cannot be quantized, so repair or download it again."
        )


def _within_range(tensor: PlannedTensor, rows: NDArray[np.float32], importance: NDArray[np.float32] | None) -> Result:
    """Quantize rows; refuse what llama.cpp refuses to write and to load (ggml-quants.c, `ggml_validate_row_data`)."""
    held = BLOCK_TYPES[tensor.type]
    try:
        result = _quantized(rows, held, importance)
    except OverflowError:
        result = None
    if result is None or not np.isfinite(result.sums[:, SUM_D2]).all() or held.has_invalid_byte(result.packed):
        raise CheckpointError(
            f"Tensor {tensor.name} has weights too large or too small for the scales of {tensor.type}; give it another "
            "type with --tensor-type, or take another format: bf16 holds every weight."
        )
    return result


def _decoded(packed: Packed, type_name: str, columns: int) -> NDArray[np.float32]:
    """Rows as they are stored, uint8[n, row bytes] -> float32[n, columns]."""
    if type_name == "F32":
        return packed.view(np.float32)
    rows = np.empty((len(packed), columns), np.float32)
    BLOCK_TYPES[type_name].dequantize(packed, rows)
    return rows


def _quantized(rows: NDArray[np.float32], block_format: BlockType, importance: NDArray[np.float32] | None) -> Result:
    packed = np.empty((rows.shape[0], block_format.row_bytes(rows.shape[1])), np.uint8)
    block_format.quantize(rows, packed, importance)

    sums = np.empty((rows.shape[0], SUMS))
    step = max(1, TILE_WEIGHTS // rows.shape[1])
    decoded = np.empty((min(step, rows.shape[0]), rows.shape[1]), np.float32)
    for start in range(0, rows.shape[0], step):
        tile = slice(start, start + step)
        count = packed[tile].shape[0]
        block_format.dequantize(packed[tile], decoded[:count])
        accumulate(rows[tile], decoded[:count], importance, sums[tile])
    return Result(packed, sums)
