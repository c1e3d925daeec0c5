"""Machine code of kernels on disk: a cache of our own, so that other users of Numba in the process keep theirs.

Numba's own looks only at the file of the outermost function, so that a change in a shared helper would leave stale
machine code behind. Ours lies in a folder named after the text of every kernel: old code can never run for new source.

A file of the cache is unpickled and then run. So it is read only from a folder that the user or root owns and nobody
else can write to. Such a folder may be read-only; nothing is saved then.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

# Numba has no public interface for this. What is used of the private one was tried in 0.61.0, 0.64.0 and 0.68.1.
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

_PACKAGE = Path(__file__).parents[1]
#: The rooms that hold kernels.
_ROOMS = ("simd", "blocks", "measure")


@cache
def _text_digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _kernels_digest(package: Path) -> str:
    """Hash the names and the text of all files of a package that may hold a kernel, or what kernels are made from."""
    digest = hashlib.sha256()
    files = (file for room in _ROOMS for file in (package / room).rglob("*") if file.suffix in (".py", ".txt"))
    for module in sorted(files):
        digest.update(module.relative_to(package).as_posix().encode() + b"\0" + _text_digest(module))
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Name the folder of the machine code, in $NUMBA_CACHE_DIR, $XDG_CACHE_HOME or ~/.cache: the first that is set."""
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base).absolute() / "quantize-cli" / _kernels_digest(_PACKAGE)


def is_cold() -> bool:
    """Tell whether no kernel is in the cache, so that a run has to compile what it needs."""
    return next(cache_folder().glob("*.nbi"), None) is None


def _is_safe(folder: Path) -> bool:
    """Tell whether the folder exists, and only this user and root can change what is in it."""
    try:
        held = [place.stat() for place in (folder, folder.parent)]
    except OSError:
        return False
    if os.name != "posix":  # elsewhere neither owners nor modes are told
        return True
    safe = all(
        place.st_uid in {0, os.geteuid()} and not place.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for place in held
    )
    if not safe:
        warnings.warn(
            f"Kernels are compiled again, because other users can write to their cache {folder}; make it and the "
            "folder above it your own, and run `chmod go-w` on both.",
            RuntimeWarning,
            stacklevel=2,
        )
    return safe


class _Locator(_CacheLocator):
    """Where the machine code of a kernel is kept, and which text it was made from."""

    def __init__(self, function: FunctionType) -> None:
        self._folder = cache_folder()
        self._py_file = function.__code__.co_filename  # Numba's warnings name it
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> bytes:
        """Hash the kernel's own file, which may lie outside the package."""
        return _text_digest(Path(self._py_file))

    def get_disambiguator(self) -> str:
        return str(self._line)

    def ensure_cache_path(self) -> None:
        """Make the folder; the parts of its path that are ours cannot be written to by others, whatever the umask."""
        self._folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for ours in (self._folder.parent, self._folder):
            ours.mkdir(mode=0o755, exist_ok=True)
        if not _is_safe(self._folder):
            raise PermissionError


class _Implementation(CompileResultCacheImpl):
    """What Numba saves of a kernel, under a name with the whole module's: many files have a `pack`."""

    def __init__(self, function: FunctionType) -> None:
        # Numba's own __init__ looks for a locator, and NUMBA_CACHE_LOCATOR_CLASSES would put another in place of ours.
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function)
        name = f"{function.__module__}.{function.__qualname__}"
        self._filename_base = self.get_filename_base(name, sys.abiflags)


class KernelCache(FunctionCache):
    """The cache of one kernel, for a dispatcher's `_cache`. It makes its folder when it first saves something."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the machine code for a signature; None if there is none that can be read safely."""
        if _is_safe(Path(self.cache_path)):
            with suppress(OSError):
                return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the machine code for a signature if the folder can be written to."""
        with suppress(OSError):
            super().save_overload(sig, data)
