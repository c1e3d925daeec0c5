"""Kernels compiled before they are needed: in processes side by side, which leave their machine code in the cache.

Numba compiles one function at a time in a process, so threads would not help.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from quantize_cli.errors import OutputError
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.run.ahead import MOST_PROCESSES, KernelsAhead, started
from quantize_cli.run.kernels import Kernel, kernels_of_mixes
from quantize_cli.run.workers import Workers
from quantize_cli.simd.cache import NotCachedError, compiles, only_cached
from quantize_cli.simd.folders import writable
from quantize_cli.simd.notes import anything_lost, take_notes

_SUPER_BLOCK = 256


def prepare(kernels: Sequence[Kernel], observer: Observer, ahead: KernelsAhead | None = None) -> float:
    """Load the kernels; compile those that are not in the cache, and tell the observer. Return the seconds of that.

    The processes of `ahead` end with that.
    """
    if not _has_compiler(observer):
        return 0.0
    workers = None if ahead is None else ahead.workers
    with workers or nullcontext():
        missing = missing_of(kernels)
        seconds = _compile(missing, observer, workers, most=MOST_PROCESSES) if missing else 0.0
    _tell_notes(observer)
    return seconds


def warm(formats: Iterable[str], observer: Observer) -> None:
    """Compile whatever runs of `formats` can need, and leave it in the cache.

    Raises:
        UsageError: there is no such format.
        OutputError: the cache cannot keep it.
    """
    kernels = kernels_of_mixes([find_format(name) for name in formats])
    if _has_compiler(observer):
        missing = missing_of(kernels)
        if missing:
            _compile(missing, observer, None, most=len(missing))
        else:
            observer.noted(f"All {len(kernels)} kernels are in the cache.")
        _tell_notes(observer)
    if anything_lost():
        raise OutputError("The compiled kernels could not be kept; set NUMBA_CACHE_DIR to a folder of your own.")


def count_cached(formats: Iterable[str]) -> tuple[int, int]:
    """Count the kernels of `formats` that are in the cache, and all of them; nothing is compiled.

    Raises:
        UsageError: there is no such format.
    """
    kernels = kernels_of_mixes([find_format(name) for name in formats])
    return sum(map(_is_cached, kernels)) if compiles() else 0, len(kernels)


def missing_of(kernels: Iterable[Kernel]) -> list[Kernel]:
    """List the kernels that are not in the cache, what takes longest first, and load the others."""
    return sorted((kernel for kernel in kernels if not _is_cached(kernel)), key=_rank)


def _rank(kernel: Kernel) -> int:
    """Rank what takes longest first: searches over super-blocks take three seconds, what measures one, others less."""
    if kernel.work in ("round", "quantize") and GGML_TYPES[kernel.type].block_size == _SUPER_BLOCK:
        return 0
    return 1 if kernel.work == "measure" else 2


def _has_compiler(observer: Observer) -> bool:
    """Tell whether kernels are compiled, and the observer why not."""
    if not compiles():
        observer.noted(
            "NUMBA_DISABLE_JIT is set, so no kernel is compiled, and the run takes a thousand times as long; unset it."
        )
    return compiles()


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


def _compile(missing: Sequence[Kernel], observer: Observer, workers: Workers | None, *, most: int) -> float:
    began = time.perf_counter()
    writable()  # for what it notes
    _tell_notes(observer)
    types = dict.fromkeys(kernel.type for kernel in missing if kernel.type != "F32")
    observer.compiling(list(types), kept=not anything_lost())
    told: set[Kernel] = set()

    def tell(kernel: Kernel) -> None:
        if kernel in missing and kernel not in told:
            told.add(kernel)
            observer.kernel_compiled(_name(kernel), len(told), len(missing))

    workers = workers or started(min(most, len(missing)))
    if workers is not None:
        with workers:
            workers.give(missing)
            workers.finish(tell)
    with _without_collection():
        for kernel in missing:
            kernel.run()  # loads it, or compiles it if no process has
            tell(kernel)
    seconds = time.perf_counter() - began
    observer.compiled(seconds, kept=not anything_lost())
    return seconds


def _name(kernel: Kernel) -> str:
    weighted = " with importance" if kernel.weighted else ""
    return f"{kernel.work} {kernel.type}{weighted}"


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
