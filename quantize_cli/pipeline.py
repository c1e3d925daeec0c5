"""Fill a plan with bytes: slabs of rows, read, decoded, quantized and measured on threads, written in order."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints import Checkpoint
from quantize_cli.decode import to_float32
from quantize_cli.errors import CheckpointError
from quantize_cli.events import Observer
from quantize_cli.formats import FORMATS
from quantize_cli.gguf_file.header import padded
from quantize_cli.metrics import SUMS, accumulate, merge
from quantize_cli.plan import Plan, PlannedTensor
from quantize_cli.sinks import Sink

#: Weights in a slab, whose float32 rows still fit a shared cache; with many threads, less.
SLAB_WEIGHTS = 1 << 19
#: Weights in flight, in all slabs together. They take about 14 bytes each: 224 MiB.
WEIGHTS_IN_FLIGHT = 1 << 24
#: Weights decoded and measured at a time, so that they stay in a core's own cache.
TILE_WEIGHTS = 1 << 15


@dataclass(frozen=True, slots=True)
class Slab:
    """Some rows of one tensor."""

    tensor: PlannedTensor
    start: int
    stop: int

    @property
    def weights(self) -> int:
        """Number of weights."""
        return (self.stop - self.start) * self.tensor.shape[-1]

    @property
    def first(self) -> bool:
        """Whether the tensor begins here."""
        return self.start == 0

    @property
    def padding(self) -> int:
        """Bytes between the tensor's end and the next one, if it ends here."""
        ends = self.stop == _rows(self.tensor.shape)
        return padded(self.tensor.nbytes) - self.tensor.nbytes if ends else 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run measured: for every tensor of the plan the sums of its rows (see metrics.py), merged, f64[SUMS]."""

    sums: NDArray[np.float64]


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    plan: Plan,
    checkpoint: Checkpoint,
    sink: Sink,
    *,
    threads: int | None = None,
    observer: Observer | None = None,
    slab_weights: int | None = None,
) -> RunResult:
    """Write the GGUF file that `plan` describes to `sink`.

    The bytes depend on the plan and the checkpoint alone, never on `threads` or `slab_weights`.

    Raises:
        CheckpointError: the checkpoint's files changed or hold NaN or infinite weights.
    """
    observer = observer or Observer()
    observer.started(plan)
    sink.write(plan.header)
    threads = threads or available_threads()
    ahead = 2 * threads
    slabs = _slabs(plan, slab_weights or min(SLAB_WEIGHTS, WEIGHTS_IN_FLIGHT // ahead))
    merged = np.zeros((len(plan.tensors), SUMS))
    row_sums: list[NDArray[np.float64]] = []
    tensors = iter(range(len(plan.tensors)))
    with ThreadPoolExecutor(threads, thread_name_prefix="quantize") as pool:
        for slab, packed, sums in _in_order(pool, slabs, checkpoint, ahead):
            if slab.first:
                observer.tensor_started(slab.tensor)
            sink.write(packed.data.cast("B"))
            sink.write(bytes(slab.padding))
            row_sums.append(sums)
            if slab.stop == _rows(slab.tensor.shape):
                merged[next(tensors)] = merge(np.concatenate(row_sums))
                row_sums.clear()
            observer.weights_done(slab.weights)
    return RunResult(merged)


_Done = tuple[Slab, NDArray[np.uint8], NDArray[np.float64]]


def _in_order(pool: ThreadPoolExecutor, slabs: Iterator[Slab], checkpoint: Checkpoint, ahead: int) -> Iterator[_Done]:
    """Finished slabs in the order of `slabs`; at most `ahead` are in flight, fewer where they are large."""
    in_flight = 0
    waiting: deque[tuple[Slab, Future[tuple[NDArray[np.uint8], NDArray[np.float64]]]]] = deque()
    try:
        for slab in slabs:
            waiting.append((slab, pool.submit(_convert, slab, checkpoint)))
            in_flight += slab.weights
            while len(waiting) >= ahead or in_flight >= WEIGHTS_IN_FLIGHT:
                done, future = waiting.popleft()
                yield (done, *future.result())
                in_flight -= done.weights
        while waiting:
            done, future = waiting.popleft()
            yield (done, *future.result())
    finally:
        for _, future in waiting:
            future.cancel()


def _slabs(plan: Plan, slab_weights: int) -> Iterator[Slab]:
    for tensor in plan.tensors:
        rows = _rows(tensor.shape)
        group = tensor.transform.row_group if tensor.transform and len(tensor.shape) > 1 else 1
        step = max(1, slab_weights // (tensor.shape[-1] * group)) * group
        for start in range(0, rows, step):
            yield Slab(tensor, start, min(rows, start + step))


def _rows(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])


def _convert(slab: Slab, checkpoint: Checkpoint) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One slab's packed rows, uint8[n, row bytes], and the sums of their errors, float64[n, SUMS]."""
    tensor = slab.tensor
    rows = _source_rows(slab, checkpoint)
    block_format = FORMATS[tensor.type]
    packed = np.empty((rows.shape[0], block_format.row_bytes(rows.shape[1])), np.uint8)
    block_format.quantize(rows, packed)

    sums = np.empty((rows.shape[0], SUMS))
    step = max(1, TILE_WEIGHTS // rows.shape[1])
    decoded = np.empty((min(step, rows.shape[0]), rows.shape[1]), np.float32)
    for start in range(0, rows.shape[0], step):
        tile = slice(start, start + step)
        count = packed[tile].shape[0]
        block_format.dequantize(packed[tile], decoded[:count])
        accumulate(rows[tile], decoded[:count], sums[tile])
    return packed, sums


def _source_rows(slab: Slab, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The slab's weights in the output's order, float32[n, columns]."""
    tensor = slab.tensor
    columns = tensor.shape[-1]
    if tensor.values is not None:
        return np.array(tensor.values, np.float32).reshape(-1, columns)[slab.start : slab.stop]
    (source,) = tensor.sources
    one_dimensional = len(tensor.shape) == 1
    start, stop = (0, columns) if one_dimensional else (slab.start, slab.stop)
    rows = to_float32(checkpoint.read_rows(source, start, stop))
    if not np.isfinite(rows).all():
        raise _not_finite(checkpoint, source, rows, start)
    if tensor.transform is not None:
        rows = tensor.transform.apply(rows)
    return np.ascontiguousarray(rows).reshape(-1, columns)


def _not_finite(checkpoint: Checkpoint, source: str, rows: NDArray[np.float32], start: int) -> CheckpointError:
    flat = int(np.argmin(np.isfinite(rows)))
    index = [int(i) for i in np.unravel_index(flat, rows.shape)]
    value = rows.reshape(-1)[flat]
    index[0] += start
    return CheckpointError(
        f"Tensor {source} in {checkpoint.infos[source].file} holds {value} at index {index}; "
        "a model with NaN or infinite weights cannot be quantized, so repair or download it again."
    )
