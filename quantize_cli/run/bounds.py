"""The bounds of a run: its threads, and the memory that it may use. A plan estimates from them without a kernel."""

from __future__ import annotations

import os

#: Weights in flight, in all slabs together: two slabs for each of 64 threads. A weight takes at most 10 bytes while its
#: slab is made, none before, and afterwards what is to be written of it.
WEIGHTS_IN_FLIGHT = 1 << 25

#: A slab of a transposed matrix is made of few columns of many rows. Whole rows are read, and the columns of so many
#: bytes are kept for the slabs to come: all of an expert, or a part of a very large one.
BAND_BYTES = 64 << 20
#: Slabs are begun in order, but where one band ends, those of two are made at a time.
BANDS_KEPT = 2


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
