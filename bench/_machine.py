"""What every benchmark prints first: figures mean nothing without the machine they come from."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path


def head_line() -> str:
    """Return processor, cores, system, versions and date in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.platform()}, Python {platform.python_version()}, "
        f"Numba {version('numba')}, {time.strftime('%Y-%m-%d')}, load {_load()}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _load() -> str:
    """Return the load average of the last minute, because other work on the machine spoils wall times."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
