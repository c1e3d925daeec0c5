"""The decorators kernels are compiled with."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def _cache_folder() -> Path:
    """A folder of the user's cache, named after the text of every kernel.

    Numba's own index looks only at the file of the outermost function, so a change in a shared helper would leave
    stale machine code behind; with the sources' hash in the path, old code can never be run for new source.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = Path(base) / "quantize-cli" / digest.hexdigest()[:16]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK | os.X_OK):
        return folder
    # Machine code is loaded from there, so it must be nobody else's: a new folder, for this run alone.
    folder = Path(tempfile.mkdtemp(prefix="quantize-cli-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_FOLDER = _cache_folder()
numba.config.CACHE_DIR = str(_FOLDER)  # type: ignore[attr-defined]


def is_cold() -> bool:
    """Tell whether no kernel has been compiled yet: the cache is empty."""
    return not any(_FOLDER.iterdir())


_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on its first call and cache the machine code.

    No fastmath and no contraction: the reference is IEEE float32 in element order, and so are we. `nogil` lets slabs
    run on threads; `error_model="numpy"` makes a division by zero a value, as in C, instead of a branch.
    """
    return cast("Callable[P, R]", numba.njit(function, **_OPTIONS))


class _Inner:
    """A compiled function to kernels, the plain function to Python, which has no way into the former."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._numba_type_ = numba.types.Dispatcher(compiled)  # what Numba takes the object for; a weak reference

    def __call__(self, *args: Any) -> Any:
        return self._compiled.py_func(*args)


#: Neither of the two ways into a compiled function that Numba makes for Python and for C.
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def maker(function: Callable[P, R]) -> Callable[P, R]:
    """Like `kernel`, for what only kernels call: compiled in two thirds of the time, because Python has no way in."""
    compiled = numba.njit(function, **_OPTIONS, **_NO_ENTRY)
    return function if compiled is function else cast("Callable[P, R]", _Inner(compiled))


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Like `maker`, for what makes no arrays and returns none: references to those that it is given are not counted.

    Counting is an atomic operation on entry and on exit for each array, as slow as the work of a small kernel.
    """
    options: dict[str, Any] = {**_OPTIONS, **_NO_ENTRY, "_nrt": False}
    compiled = numba.njit(function, **options)
    return function if compiled is function else cast("Callable[P, R]", _Inner(compiled))


def part(function: Callable[P, R]) -> Callable[P, R]:
    """Like `kernel`, for what is called once for every small block: it becomes part of the kernel that calls it.

    A call proper costs about 12 ns, as much as the work on a block of 32 weights: Numba counts the references to each
    array that it passes.
    """
    return cast("Callable[P, R]", numba.njit(function, **_OPTIONS, inline="always"))
