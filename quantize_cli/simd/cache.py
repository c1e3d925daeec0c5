"""Machine code of kernels on disk: a cache of our own, so that other users of Numba in the process keep theirs.

Numba's own looks only at the file of the outermost function, so that a change in a shared helper would leave stale
machine code behind. Ours lies in a folder named after the text of every kernel: old code can never run for new source.

A file holds the machine code of one kernel for one signature and one processor: the SHA-256 of what follows, and a
pickle. A file that is cut, empty or damaged in another way is compiled again. The folders are in `folders.py`.
"""

from __future__ import annotations

import hashlib
import pickle
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any

import numba

# Numba has no public interface for this. What is used of the private one was tried in 0.61.0, 0.64.0 and 0.68.1.
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from quantize_cli.simd import folders
from quantize_cli.simd.notes import note

#: Settings of Numba's that change machine code, beside those of the processor.
_SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")
_DIGEST_BYTES = hashlib.sha256().digest_size
_only_cached: ContextVar[bool] = ContextVar("only_cached", default=False)


class NotCachedError(Exception):
    """A kernel is not in the cache."""


@contextmanager
def only_cached() -> Iterator[None]:
    """Let kernels that would have to be compiled raise NotCachedError."""
    token = _only_cached.set(True)
    try:
        yield
    finally:
        _only_cached.reset(token)


def compiles() -> bool:
    """Tell whether kernels are compiled, which NUMBA_DISABLE_JIT switches off."""
    return not config.DISABLE_JIT  # type: ignore[attr-defined]  # Numba sets it by name


def load_compiler() -> None:
    """Import all that the compiler needs, a quarter of a second's work that processes can have in common."""
    cpu_target.target_context.refresh()


class KernelCache(FunctionCache):
    """The cache of one kernel, for a dispatcher's `_cache`. It makes its folder when it first saves something."""

    def __init__(self, function: Any) -> None:
        # Numba's own __init__ chooses a folder, and NUMBA_CACHE_LOCATOR_CLASSES would choose another.
        self._py_func = function

    @property
    def cache_path(self) -> str:
        """The user's folder."""
        return str(folders.cache_folder() or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the machine code for a signature; None if there is none that can be read safely.

        Raises:
            NotCachedError: there is none, inside `only_cached`.
        """
        # Numba's own cache refreshes the whole context. That takes as long as its import, and serves the compiler only.
        rtsys.initialize(target_context)
        name = self._file_name(sig, target_context.codegen())
        for folder in folders.readable():
            try:
                data = _checked(folders.read(folder / name))
                if data is not None:
                    return CompileResult._rebuild(target_context, *pickle.loads(data))
            except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it can be compiled
                note(f"Compiled kernels in {folder} cannot be read ({error}); they are compiled again.", lost=False)
        if _only_cached.get():
            raise NotCachedError
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the machine code for a signature if there is a folder that can be written to."""
        folder = folders.writable()
        if folder is None or data.library.has_dynamic_globals:
            return
        # The last field has the globals of the functions that are linked in. No kernel reads them (see `linking.py`),
        # and to unpickle them takes longer than all the rest, because they name modules of Numba's.
        payload = dumps((*data._reduce()[:-1], ()))
        try:
            folders.write(folder / self._file_name(sig, data.codegen), hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            sentence = (
                f"Compiled kernels cannot be kept in {folder} ({error.strerror}), so later runs compile them again."
            )
            note(sentence, lost=True)

    def _file_name(self, sig: Any, codegen: Any) -> str:
        """Name the file after all that machine code depends on, beside the text of the package."""
        function = self._py_func
        text = folders.text_digest(Path(function.__code__.co_filename))  # which may lie outside the package
        versions = numba.__version__, platform.python_version(), [getattr(config, name, None) for name in _SETTINGS]
        key = repr((versions, spelled(function), text, sig, codegen.magic_tuple()))
        return f"{function.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.kernel"


def spelled(value: Any) -> object:
    """Spell a function by its place and what it closes over, among that other functions, and any other value as bytes.

    Numba's own key pickles what is closed over, and a function that it compiles with a number drawn at random.
    """
    function = getattr(value, "py_func", value)
    if not isinstance(function, FunctionType):
        return dumps(value)
    cells = [spelled(cell.cell_contents) for cell in function.__closure__ or ()]
    return function.__module__, function.__qualname__, function.__code__.co_firstlineno, cells


def _checked(data: bytes | None) -> bytes | None:
    """Return what follows the digest.

    Raises:
        ValueError: the data is damaged.
    """
    if data is None:
        return None
    digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("a file is damaged")
    return payload
