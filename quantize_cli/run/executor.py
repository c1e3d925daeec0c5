"""Fill plans with bytes: slabs of rows, read, decoded, quantized and measured on threads, written in order.

Several plans of one checkpoint are filled by one pass over it. Whatever they make of a tensor alike, the same type with
the same importance, is made once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.trailer import encode_trailer
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.measure.sums import NOTHING, RunningSums, merge_each
from quantize_cli.methods.chosen import Chosen
from quantize_cli.observer import Observer
from quantize_cli.outputs.sinks import Sink
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.run.bounds import WEIGHTS_IN_FLIGHT, available_threads
from quantize_cli.run.crew import Crew
from quantize_cli.run.derive import Derive, Result
from quantize_cli.run.progress import START, Place, Progress
from quantize_cli.run.reading_ahead import reading_of
from quantize_cli.run.slabs import SLAB_WEIGHTS, Slab, slabs_of

Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run measured, and how it worked."""

    sums: (
        Sums  #: for every tensor of the plan the sums of its rows (see measure/sums.py), merged, float64[tensors, SUMS]
    )
    threads: int  #: number of threads that worked


def run(
    plans: Sequence[Plan],
    checkpoint: Checkpoint,
    sinks: Sequence[Sequence[Sink]],
    *,
    importance: ImportanceMatrix | None = None,
    chosen: Sequence[Chosen | None] = (),
    threads: int | None = None,
    observer: Observer | None = None,
    slab_weights: int = SLAB_WEIGHTS,
    progress: Progress | None = None,
) -> list[RunResult]:
    """Write the GGUF files that `plans`, all of the same tensors, describe: `sinks` has one for each file of each plan.

    `chosen` has for each plan what a method has chosen, or None. The bytes depend on the plans, the checkpoint, the
    importance and what is chosen alone, never on `threads` or `slab_weights`. With `progress` the run goes on from
    where an earlier one was stopped, and notes what it does for a later one.

    Raises:
        CheckpointError: the checkpoint's files changed or hold NaN or infinite weights.
    """
    observer = observer or Observer()
    observer.started(plans[0])
    threads = threads or available_threads()
    ahead = 2 * threads
    progress = progress or Progress(None)
    done, places = progress.start(len(plans))
    slabs = slabs_of(plans, slab_weights)
    if done:
        observer.weights_done(sum(slab.weights for slab in islice(slabs, done)))
    outputs = [_Output(plan, files, place) for plan, files, place in zip(plans, sinks, places, strict=True)]
    reading = reading_of(checkpoint, observer)
    crew = Crew(Derive(checkpoint, importance, chosen), threads)
    if crew.threads < threads:
        observer.noted(f"The system allows {crew.threads} of {threads} threads; the run goes on with that.")
    try:
        for number, (slab, results) in enumerate(in_order(crew, reading.ready(slabs), ahead), done + 1):
            if slab.first:
                observer.tensor_started(slab.tensor)
            for output, tensor, result in zip(outputs, slab.tensors, results, strict=True):
                output.write(slab, tensor, result)
            observer.weights_done(slab.weights)
            reading.release()
            if slab.last_of_expert and progress.is_due():
                progress.note(number, [output.place for output in outputs])
    except BaseException as error:
        reading.stop()
        crew.stop(wait=isinstance(error, Exception))  # an interrupt does not wait, for a compiler perhaps
        raise
    crew.stop(wait=True)
    return [RunResult(np.concatenate(output.sums), crew.threads) for output in outputs]


class _Output:
    """Writes the files of one plan, one after another, and merges the sums of its tensors' rows.

    `place` is where an earlier run has stopped between two experts.
    """

    def __init__(self, plan: Plan, sinks: Sequence[Sink], place: Place = START) -> None:
        self.sums: list[Sums] = list(place.sums[:, np.newaxis])
        self._of_expert = RunningSums()  # the one that is being written
        self._of_tensor = RunningSums(place.waiting, place.groups)
        self._files = list(zip(plan.files, sinks, strict=True))
        self._file = place.file
        self._left = sum(len(file.tensors) for file in plan.files[: place.file + 1]) - len(self.sums)
        if place.file < 0:
            self._next_file()

    @property
    def place(self) -> Place:
        """Where the output stands; only between two experts."""
        return Place(self._file, np.concatenate([NOTHING, *self.sums]), *self._of_tensor.held())

    def write(self, slab: Slab, tensor: PlannedTensor, result: Result) -> None:
        """Append one slab."""
        if slab.first and self._left == 0:
            self._next_file()
        file, sink = self._files[self._file]
        sink.write(result.packed.data.cast("B"))
        sink.write(bytes(slab.padding(tensor)))
        if len(result.sums) > tensor.rows_of_an_expert:
            self._of_tensor.add(merge_each(result.sums, tensor.rows_of_an_expert))
        else:
            self._of_expert.add(result.sums)
            if slab.last_of_expert:
                self._of_tensor.add(self._of_expert.take())
        if slab.last:
            self.sums.append(self._of_tensor.take())
            self._left -= 1
            if file.has_trailer:
                sink.mark()
                if self._left == 0:
                    sink.write(encode_trailer(sink.marks()))

    def _next_file(self) -> None:
        self._file += 1
        file, sink = self._files[self._file]
        sink.write(file.header)
        if file.has_trailer:
            sink.mark()
        self._left = len(file.tensors)


def in_order(crew: Crew[Slab, list[Result]], slabs: Iterator[Slab], ahead: int) -> Iterator[tuple[Slab, list[Result]]]:
    """Yield finished slabs in the order of `slabs`; at most `ahead` are in flight, or fewer if they are large."""
    in_flight = 0
    waiting: deque[Slab] = deque()
    for slab in slabs:
        waiting.append(slab)
        crew.give(slab)
        in_flight += slab.weights
        while len(waiting) >= ahead or in_flight >= WEIGHTS_IN_FLIGHT:
            done = waiting.popleft()
            yield done, crew.take()
            in_flight -= done.weights
    for done in waiting:
        yield done, crew.take()
