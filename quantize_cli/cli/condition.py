"""The machine and the installation, for people and as JSON, on standard output."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from quantize_cli.cli import console
from quantize_cli.errors import printable
from quantize_cli.report.figures import size

if TYPE_CHECKING:
    from quantize_cli.health import FolderFacts, Health

#: Width of the column of names.
_NAMES = 18

#: Instruction sets that kernels gain from, by LLVM's names; --json lists all.
_OF_INTEREST = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "neon", "sve")


def show(health: Health, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        console.put(json.dumps(health.to_dict(), indent=2))
    else:
        console.put("\n".join(_lines(health)))


def _lines(health: Health) -> Iterator[str]:
    width = shutil.get_terminal_size().columns
    for name, text in _rows(health):
        start = name.ljust(_NAMES)
        yield from textwrap.wrap(printable(text), width, initial_indent=start, subsequent_indent=" " * _NAMES)
    for note in health.notes:
        yield from ("", *textwrap.wrap(printable(f"note: {note}"), width))


def _rows(health: Health) -> Iterator[tuple[str, str]]:
    yield "quantize-cli", health.version
    yield "Python", health.python
    yield "packages", ", ".join(f"{name} {version or 'is missing'}" for name, version in health.packages.items())
    yield "system", health.system
    features = [name for name in _OF_INTEREST if name in health.features]
    threads = f"{health.threads} thread{'s' if health.threads != 1 else ''}"
    yield "processor", ", ".join([health.processor, threads, *features])
    if health.memory_bytes is not None:
        free = "" if health.available_bytes is None else f", {size(health.available_bytes)} available"
        yield "memory", f"{size(health.memory_bytes)}{free}"
    yield "kernels", _kernels(health)
    for folder in health.folders:
        yield folder.purpose, _folder(folder)


def _kernels(health: Health) -> str:
    missing = health.kernels - health.kernels_compiled
    advice = "; the others are compiled when they are needed, or by `quantize warm`" if missing else ""
    return f"{health.kernels_compiled} of {health.kernels} compiled{advice}"


def _folder(folder: FolderFacts) -> str:
    state = "" if folder.exists else ", which does not exist yet"
    held = "" if folder.files is None or not folder.exists else f", {folder.files:,} files, {size(folder.bytes or 0)}"
    access = "" if folder.writable else ", not writable"
    return f"{folder.path}{state}{held}{access}, {size(folder.free_bytes)} free on its disk"
