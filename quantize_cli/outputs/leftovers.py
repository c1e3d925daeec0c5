"""Hidden files that a killed run has left in a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from quantize_cli.errors import listed
from quantize_cli.outputs.hidden import names_in
from quantize_cli.outputs.journal import header_of, is_locked
from quantize_cli.outputs.temporary import JOURNAL, OLD, PREFIX, SUFFIX


def leftovers(folders: Iterable[Path], but: str = "", outputs: Collection[Path] = ()) -> Iterator[str]:
    """Describe what killed runs have left in `folders`, a sentence for each file, or for each run that can go on.

    Files of living runs are skipped, and those of the run with the key `but`, which is about to go on to `outputs`.
    """
    for folder in folders:
        hidden = _hidden(folder)
        runs = {path.stem for path in hidden if path.suffix == JOURNAL}
        own = f"{PREFIX}{but}"
        for path in hidden:
            run = path.stem.rpartition("-")[0]
            with suppress(OSError):
                if own in (path.stem, run):
                    continue
                if path.stem in runs:
                    data = [file for file in hidden if file.stem.startswith(f"{path.stem}-")]
                    yield from _unfinished_run(path, data, outputs)
                elif run not in runs:
                    yield from _file(path)


def _file(path: Path) -> Iterator[str]:
    size = path.stat().st_size
    if path.suffix == OLD:
        yield (
            f"{path} ({size:,} bytes) is an older output that a run which was killed had moved aside; "
            "give it a name, or delete it."
        )
    elif not is_locked(path):
        yield f"{path} ({size:,} bytes) is left from a run that was killed; delete it."


def _unfinished_run(journal: Path, data: Iterable[Path], outputs: Collection[Path]) -> Iterator[str]:
    if is_locked(journal):
        return
    size = sum(file.stat().st_size for file in data)
    names = names_in(header_of(journal))
    left = f"{journal.with_suffix('')}* ({size:,} bytes)"
    if not size or not names:
        yield f"{left} is left from a run that was killed; delete it."
    elif any(journal.with_name(name) in outputs for name in names):
        yield (
            f"An earlier run to {listed(names)} was stopped, but its model or its options were others, so this run "
            f"starts anew; delete {left}, or repeat the earlier command to go on with it."
        )
    else:
        yield f"{left} is an unfinished run to {listed(names)}; repeat its command to go on with it, or delete it."


def _hidden(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX)
            and entry.name.endswith((SUFFIX, OLD, JOURNAL))
            and entry.is_file(follow_symlinks=False)
        )
    return []
