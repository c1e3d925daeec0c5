"""The decorators that kernels are compiled with.

No fastmath and no contraction: kernels are IEEE float32 in element order. `nogil` lets slabs run on threads.
`error_model="numpy"` makes a division by zero a value, as in C, instead of a branch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

from quantize_cli.simd.cache import KernelCache, spelled
from quantize_cli.simd.linking import LinkedCompiler

P = ParamSpec("P")
R = TypeVar("R")


def _compiled(function: Callable[P, R], **options: Any) -> Any:
    """Make what compiles `function` for the types of a call; the function itself under NUMBA_DISABLE_JIT."""
    _name_after_cells(function)
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, **options}
    return numba.njit(function, **options)


def _name_after_cells(function: Callable[..., Any]) -> None:
    """Let functions of one text that close over different values have different names.

    Machine code names what it calls by qualified name, types and a number that counts the functions of a process. If two
    kernels come from the cache that two processes have filled, these numbers can be the same, and one of them would call
    the other's function: Q5_0 was decoded as Q4_0.
    """
    cells = getattr(function, "__closure__", None)
    if cells:
        digest = hashlib.sha256(repr([spelled(cell.cell_contents) for cell in cells]).encode()).hexdigest()[:16]
        if not function.__qualname__.endswith(digest):
            function.__qualname__ += f"_{digest}"


class _Inner:
    """A compiled function to kernels, the plain function to Python, which has no way into the former."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self.py_func = compiled.py_func
        self._numba_type_ = numba.types.Dispatcher(compiled)  # what Numba takes the object for; a weak reference

    def __call__(self, *args: Any) -> Any:
        return self.py_func(*args)


def _without_entry(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    compiled = _compiled(function, no_cpython_wrapper=True, pipeline_class=LinkedCompiler, **options)
    return function if compiled is function else cast("Callable[P, R]", _Inner(compiled))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` on its first call, and cache the machine code."""
    dispatcher = _compiled(function)
    if dispatcher is not function:
        dispatcher._cache = KernelCache(function)
    return cast("Callable[P, R]", dispatcher)


class _Both:
    """A kernel to Python; to other kernels a compiled function that becomes a part of them."""

    def __init__(self, dispatcher: Any, compiled: _Inner) -> None:
        self._dispatcher = dispatcher
        self.py_func = dispatcher.py_func
        self._numba_type_ = compiled._numba_type_
        self._part = compiled  # Numba's type holds it weakly

    def __call__(self, *args: Any) -> Any:
        return self._dispatcher(*args)


def kernel_and_part(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` as `kernel` does for Python, and as `maker` does for kernels that call it."""
    inside = maker(function)
    return function if inside is function else cast("Callable[P, R]", _Both(kernel(function), cast("_Inner", inside)))


def is_part(function: Callable[..., Any]) -> bool:
    """Tell whether kernels can call a function that Python can call, too."""
    return isinstance(function, _Both)


def maker(function: Callable[P, R]) -> Callable[P, R]:
    """Compile what only kernels call, as a part of them: Python has no way in."""
    return _without_entry(function)


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Compile as `maker` does what makes no array and returns none, without counting references to those it is given.

    Counting is an atomic operation on entry and on exit for each array, as slow as the work of a small kernel.
    """
    return _without_entry(function, _nrt=False)


def part(function: Callable[P, R]) -> Callable[P, R]:
    """Make `function`, which is called for every small block, a part of the kernel that calls it.

    A real call takes about 12 ns, as much as the work on a block of 32 weights: Numba counts the references to each
    array that it passes.
    """
    return cast("Callable[P, R]", _compiled(function, inline="always"))
