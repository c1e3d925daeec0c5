"""The stage before the threads that compute: where rows come over the network, it reads them before they are needed.

Slabs are taken together until they need `REQUEST_BYTES`. What they need of a tensor is joined, cut into pieces of that
size, and read over several connections; it stays in memory until the last of these slabs has been written. The plan
fixes the order of slabs, so nothing is guessed. What is larger than the budget is read by the thread that needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Checkpoint, Extent, Stream
from quantize_cli.observer import Observer
from quantize_cli.run.crew import Crew
from quantize_cli.run.rows import SourceRows
from quantize_cli.run.slabs import Slab
from quantize_cli.run.stored import GAP_BYTES

#: Bytes of rows that are read ahead of the threads that need them, or are in their hands.
AHEAD_BYTES = 128 << 20
#: Most bytes of one request: enough that a server's delay does not count.
REQUEST_BYTES = 4 << 20
#: Requests at a time.
CONNECTIONS = 8


class Reading:
    """What reads rows for a run; this one leaves it to the threads that need them, as is best with a disk."""

    def ready(self, slabs: Iterator[Slab]) -> Iterator[Slab]:
        """Yield the slabs in their order, each when its rows can be read at once."""
        return slabs

    def release(self) -> None:
        """Forget the rows of the earliest slab that has not been released."""

    def stop(self) -> None:
        """Let all reads end soon, because the run has failed."""


def reading_of(checkpoint: Checkpoint, observer: Observer) -> Reading:
    """Return what reads the rows of a checkpoint; `observer` hears of what comes over the network."""
    stream = checkpoint.stream
    return Reading() if stream is None else _ReadingAhead(checkpoint, stream, observer)


@dataclass(slots=True)
class _Batch:
    """Slabs that follow each other, and what is read for them."""

    extents: Sequence[Extent]
    nbytes: int
    slabs: list[Slab] = field(default_factory=list)
    released: int = 0


class _ReadingAhead(Reading):
    """Reads rows over several connections; all methods are called by the thread that runs."""

    def __init__(self, checkpoint: Checkpoint, stream: Stream, observer: Observer) -> None:
        self._checkpoint = checkpoint
        self._stream = stream
        self._observer = observer
        self._source = SourceRows(checkpoint)
        self._crew: Crew[Extent, NDArray[np.uint8]] = Crew(stream.read, CONNECTIONS, daemon=True, meanwhile=self._tell)
        self._held: deque[_Batch] = deque()  # those that are read or in the hands of others
        self._bytes = 0

    def ready(self, slabs: Iterator[Slab]) -> Iterator[Slab]:
        """Yield slabs whose rows are in memory; meanwhile the rows of further ones are read."""
        coming: deque[_Batch] = deque()
        for batch in self._batches(slabs):
            while coming and self._bytes + batch.nbytes > AHEAD_BYTES:
                yield from self._complete(coming.popleft())
            for extent in batch.extents:
                self._crew.give(extent)
            self._bytes += batch.nbytes
            coming.append(batch)
            self._held.append(batch)
        while coming:
            yield from self._complete(coming.popleft())
        self._crew.stop(wait=False)

    def release(self) -> None:
        """Forget the rows of a batch when all its slabs have been released."""
        batch = self._held[0]
        batch.released += 1
        if batch.released == len(batch.slabs):
            self._held.popleft()
            self._bytes -= batch.nbytes
            for extent in batch.extents:
                self._stream.forget(extent)

    def stop(self) -> None:
        """Let all reads end at their next piece."""
        self._stream.stop()
        self._crew.stop(wait=False)

    def _complete(self, batch: _Batch) -> Iterator[Slab]:
        """Wait for a batch's rows and yield its slabs."""
        for extent in batch.extents:
            self._stream.hold(extent, self._crew.take())
            self._tell()
        yield from batch.slabs

    def _tell(self) -> None:
        """Let the observer hear what has come, and what is waited for."""
        if received := self._stream.received():
            self._observer.streamed(received)
        for sentence in self._stream.sentences():
            self._observer.noted(sentence)

    def _batches(self, slabs: Iterator[Slab]) -> Iterator[_Batch]:
        """Take slabs together until they need enough; a slab that needs nothing more is never left out."""
        batch = _Batch((), 0)
        for slab in slabs:
            needed = list(self._needed(slab))
            joined = self._joined([*batch.extents, *needed])
            if batch.slabs and self._size(joined) > max(REQUEST_BYTES, batch.nbytes):
                yield self._cut(batch)
                batch, joined = _Batch((), 0), self._joined(needed)
            batch = _Batch(joined, self._size(joined), [*batch.slabs, slab])
        if batch.slabs:
            yield self._cut(batch)

    def _needed(self, slab: Slab) -> Iterator[Extent]:
        """Yield what the files have for a slab; what an encoding does not tell is read when it is needed."""
        for extent in self._source.extents(slab.tensor, slab.start, slab.stop):
            yield from (part for part in self._checkpoint.needed(extent) if part.name in self._stream.infos)

    def _joined(self, extents: Sequence[Extent]) -> list[Extent]:
        """Join what overlaps or has little between; the order of tensors stays."""
        order = {name: number for number, name in enumerate(dict.fromkeys(extent.name for extent in extents))}
        joined: list[Extent] = []
        for extent in sorted(extents, key=lambda extent: (order[extent.name], extent.start)):
            last = joined[-1] if joined else None
            if last and last.name == extent.name and extent.start - last.stop <= GAP_BYTES // self._row_bytes(extent):
                joined[-1] = last._replace(stop=max(last.stop, extent.stop))
            else:
                joined.append(extent)
        return joined

    def _cut(self, batch: _Batch) -> _Batch:
        """Cut what is read into requests, and leave out what is beyond the budget."""
        pieces: list[Extent] = []
        nbytes = 0
        for name, start, stop in batch.extents:
            row_bytes = self._row_bytes(Extent(name, start, stop))
            step = max(1, REQUEST_BYTES // row_bytes)
            for first in range(start, stop, step):
                piece = Extent(name, first, min(first + step, stop))
                if nbytes + self._size([piece]) <= AHEAD_BYTES:
                    pieces.append(piece)
                    nbytes += self._size([piece])
        return _Batch(pieces, nbytes, batch.slabs)

    def _row_bytes(self, extent: Extent) -> int:
        info = self._stream.infos[extent.name]
        return max(1, info.nbytes // max(1, info.rows))

    def _size(self, extents: Iterable[Extent]) -> int:
        return sum((extent.stop - extent.start) * self._row_bytes(extent) for extent in extents)
