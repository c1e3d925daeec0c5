"""Where and when figures are measured."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from _results import Setting

_PACKAGES = ("quantize-cli", "torch", "transformers", "numpy")


def setting() -> Setting:
    """Return date, machine and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"
    return Setting(time.strftime("%Y-%m-%d"), machine, {name: version(name) for name in _PACKAGES})


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
