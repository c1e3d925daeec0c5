"""What every benchmark prints first: figures mean nothing without the machine they come from."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

#: Numba's variable for the processor that kernels are compiled for.
CODE_FOR = "NUMBA_CPU_NAME"
#: A processor that has AVX2 and not AVX-512. Its name alone is not enough: Numba keeps the features of the machine.
_AVX2_PROCESSOR = "znver3"
_HOST_FEATURES = "import llvmlite.binding as llvm; print(llvm.get_host_cpu_features().flatten())"
_BEYOND_AVX2 = ("avx512", "avx10", "avxvnni", "avxifma", "avxneconvert", "amx", "gfni")

_FEATURES = ("avx2", "avx512f", "avx512bw", "avx512vbmi", "sha_ni", "asimd", "sve")


def head_line() -> str:
    """Return processor, its features, cores, system, versions and date in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    code = f", kernels compiled for {os.environ[CODE_FOR]}" if CODE_FOR in os.environ else ""
    return (
        f"{_cpuinfo('model name') or platform.processor() or platform.machine()} ({' '.join(_features())}){code}, "
        f"{cores} cores, {platform.platform()}, Python {platform.python_version()}, Numba {version('numba')}, "
        f"{time.strftime('%Y-%m-%d')}, load {_load()}"
    )


def has_avx512() -> bool:
    """Tell whether the processor has AVX-512 and kernels are compiled for it."""
    return "avx512f" in _features() and CODE_FOR not in os.environ


def avx2_environment() -> dict[str, str]:
    """Return the variables that make Numba compile for the features of this machine without AVX-512."""
    features = subprocess.check_output([sys.executable, "-c", _HOST_FEATURES], text=True).strip().split(",")
    kept = (f"-{name[1:]}" if name[1:].startswith(_BEYOND_AVX2) else name for name in features)
    return {CODE_FOR: _AVX2_PROCESSOR, "NUMBA_CPU_FEATURES": ",".join(kept)}


def is_tmpfs(folder: Path) -> bool:
    """Tell whether a file system that has no disk is mounted at `folder`."""
    mounts = Path("/proc/mounts")
    lines = mounts.read_text().splitlines() if mounts.is_file() else []
    return any(line.split()[1:3] == [str(folder), "tmpfs"] for line in lines)


def _features() -> list[str]:
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [name for name in _FEATURES if name in flags]


def _cpuinfo(field: str) -> str:
    """Return a field of the first processor; nothing where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def _load() -> str:
    """Return the load average of the last minute, because other work on the machine spoils wall times."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
