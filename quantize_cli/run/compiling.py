"""Kernels compiled before they are needed: in processes side by side, which leave their machine code in the cache.

Numba compiles one function at a time in a process, so threads would not help.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from quantize_cli.errors import OutputError
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.run.bounds import available_threads
from quantize_cli.run.kernels import Kernel, kernels_of_mixes
from quantize_cli.run.workers import compile_in_processes
from quantize_cli.simd.cache import NotCachedError, compiles, only_cached
from quantize_cli.simd.folders import writable
from quantize_cli.simd.notes import anything_lost, take_notes

#: A process takes 200 MiB. The kernel that takes longest bounds the time of most formats with fewer already.
MOST_PROCESSES = 8


def prepare(kernels: Sequence[Kernel], observer: Observer) -> float:
    """Load the kernels; compile those that are not in the cache, and tell the observer. Return the seconds of that."""
    if not compiles():
        observer.noted(
            "NUMBA_DISABLE_JIT is set, so no kernel is compiled, and the run takes a thousand times as long; unset it."
        )
        return 0.0
    missing = [kernel for kernel in kernels if not _is_cached(kernel)]
    seconds = _compile(missing, observer) if missing else 0.0
    _tell_notes(observer)
    return seconds


def warm(formats: Iterable[str], observer: Observer) -> None:
    """Compile whatever runs of `formats` can need, and leave it in the cache.

    Raises:
        UsageError: there is no such format.
        OutputError: the cache cannot keep it.
    """
    prepare(kernels_of_mixes([find_format(name) for name in formats]), observer)
    if anything_lost():
        raise OutputError("The compiled kernels could not be kept; set NUMBA_CACHE_DIR to a folder of your own.")


def count_cached(formats: Iterable[str]) -> tuple[int, int]:
    """Count the kernels of `formats` that are in the cache, and all of them; nothing is compiled.

    Raises:
        UsageError: there is no such format.
    """
    kernels = kernels_of_mixes([find_format(name) for name in formats])
    return sum(map(_is_cached, kernels)) if compiles() else 0, len(kernels)


def _tell_notes(observer: Observer) -> None:
    for sentence in take_notes():
        observer.noted(sentence)


def _is_cached(kernel: Kernel) -> bool:
    try:
        with only_cached():
            kernel.run()
    except NotCachedError:
        return False
    return True


def _compile(missing: Sequence[Kernel], observer: Observer) -> float:
    started = time.perf_counter()
    folder = writable()
    _tell_notes(observer)
    types = dict.fromkeys(kernel.type for kernel in missing if kernel.type != "F32")
    observer.compiling(list(types), kept=not anything_lost())
    processes = min(len(missing), available_threads(), MOST_PROCESSES)
    if processes > 1 and folder is not None:
        compile_in_processes(missing, processes, folder)
    with _without_collection():
        for kernel in missing:
            kernel.run()  # loads it, or compiles it if no process has
    seconds = time.perf_counter() - started
    observer.compiled(seconds, kept=not anything_lost())
    return seconds


@contextmanager
def _without_collection() -> Iterator[None]:
    """Leave garbage for a while: to look for it takes a tenth of the compiler's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
