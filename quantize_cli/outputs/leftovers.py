"""Hidden files that a killed run has left in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from quantize_cli.errors import listed
from quantize_cli.outputs.journal import header_of, is_locked
from quantize_cli.outputs.resuming import names_in
from quantize_cli.outputs.temporary import JOURNAL, OLD, PREFIX, SUFFIX


def leftovers(folders: Iterable[Path], but: str = "") -> Iterator[str]:
    """Describe what killed runs have left in `folders`, a sentence for each file that cannot be used any more.

    A run that can go on has one sentence for all its files in a folder. Files of living runs are skipped, and those of
    the run with the key `but`, which is about to go on.
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
                    yield from _unfinished_run(path, [file for file in hidden if file.stem.startswith(f"{path.stem}-")])
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


def _unfinished_run(journal: Path, data: Iterable[Path]) -> Iterator[str]:
    if is_locked(journal):
        return
    size = sum(file.stat().st_size for file in data)
    names = listed(names_in(header_of(journal))) or "an output"
    yield (
        f"{journal.with_suffix('')}* ({size:,} bytes) is an unfinished run to {names} of another source, or with other "
        "options; repeat its command to go on with it, or delete it."
    )


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
