"""What this machine and this installation are like, as far as it matters to a run: for `quantize doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llvmlite import binding

from quantize_cli.checkpoints.cached import hub_folder
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.outputs.checks import nearest
from quantize_cli.simd.folders import cache_folder
from quantize_cli.version import __version__

#: The packages that a run depends on.
PACKAGES = ("numpy", "numba", "llvmlite", "huggingface_hub", "tokenizers", "safetensors", "click", "rich", "tqdm")

#: Where a container's limit of memory stands, in version 2 and 1 of the kernel's groups.
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """A folder, and the disk that it is on."""

    purpose: str
    path: str
    exists: bool
    writable: bool  #: whether files can be made in it, or it can be made
    files: int | None  #: None if it is not counted
    bytes: int | None
    free_bytes: int  #: of its disk


@dataclass(frozen=True, slots=True)
class Health:
    """What `quantize doctor` shows."""

    version: str  #: of this package
    python: str
    packages: Mapping[str, str | None]  #: name -> version; None if it is missing
    system: str
    processor: str
    features: tuple[str, ...]  #: LLVM's names of its instruction sets
    threads: int  #: processors that this process may use
    memory_bytes: int | None  #: of the machine, or of the container if that allows less; None if it is not known
    available_bytes: int | None
    kernels: int  #: all that the formats need
    kernels_compiled: int  #: those in the cache
    folders: tuple[FolderFacts, ...]
    notes: tuple[str, ...]  #: what is wrong, one sentence each

    def to_dict(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return asdict(self)


def examine() -> Health:
    """Look at the machine and the installation; nothing is compiled or written."""
    from quantize_cli.run.bounds import available_threads
    from quantize_cli.run.compiling import count_cached
    from quantize_cli.simd.notes import take_notes

    compiled, kernels = count_cached(FORMATS)
    limit, available = _memory()
    return Health(
        version=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        packages={name: _version(name) for name in PACKAGES},
        system=platform.platform(),
        processor=str(binding.get_host_cpu_name()),
        features=_features(),
        threads=available_threads(),
        memory_bytes=limit,
        available_bytes=available,
        kernels=kernels,
        kernels_compiled=compiled,
        folders=tuple(_folders()),
        notes=tuple(take_notes()),
    )


def _features() -> tuple[str, ...]:
    try:
        return tuple(sorted(name for name, there in binding.get_host_cpu_features().items() if there))
    except RuntimeError:  # where LLVM cannot tell
        return ()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _folders() -> Iterator[FolderFacts]:
    kernels = cache_folder()
    if kernels is not None:
        yield _facts("compiled kernels", kernels, counted=True)
    yield _facts("Hub's cache", hub_folder(), counted=True)
    yield _facts("current folder", Path.cwd(), counted=False)


def _facts(purpose: str, path: Path, *, counted: bool) -> FolderFacts:
    there = nearest(path)
    sizes = [*_sizes(path)] if counted else None
    return FolderFacts(
        purpose=purpose,
        path=str(path),
        exists=path.is_dir(),
        writable=os.access(there, os.W_OK | os.X_OK),
        files=None if sizes is None else len(sizes),
        bytes=None if sizes is None else sum(sizes),
        free_bytes=shutil.disk_usage(there).free,
    )


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the size of each file below a folder; links are not followed, and what cannot be read is left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                held = os.lstat(os.path.join(place, name))  # noqa: PTH118  a cache may hold very many
                yield held.st_size


def _memory() -> tuple[int | None, int | None]:
    """Return the memory of the machine or container, and how much of it is available, in bytes."""
    with suppress(OSError, ValueError, KeyError):
        table = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        total, available = (int(table[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        limit = _limit()
        return (total, available) if limit is None or limit >= total else (limit, min(available, limit))
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    return None, None


def _limit() -> int | None:
    for file in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):
            return int(file.read_text())
    return None
