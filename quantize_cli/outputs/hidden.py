"""The hidden files of runs that can go on later: their names, their sizes, and whose they are.

All hidden names of a run begin with the same key, which is made of all that decides the bytes. So a run that is started
again finds what it has left, and another one does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quantize_cli.errors import OutputError
from quantize_cli.outputs.journal import Json, header_of, is_locked
from quantize_cli.outputs.sinks import real
from quantize_cli.outputs.temporary import JOURNAL, PREFIX, SUFFIX


@dataclass(frozen=True, slots=True)
class HiddenFiles:
    """The hidden names of a run."""

    journal: Path
    data: tuple[Path, ...]  #: in the order of its outputs

    @property
    def nbytes(self) -> int:
        """Size of the data that are there."""
        return sum(map(_size, self.data))

    @property
    def pattern(self) -> str:
        """A pattern for a shell that matches all of them, if they are in one folder."""
        return f"{self.journal.with_suffix('')}*"


def hidden_files(key: str, paths: Sequence[Path]) -> HiddenFiles:
    """Name the hidden files of a run: the data beside each of `paths`, the journal beside the first."""
    folders = [real(path).parent for path in paths]
    data = (folder / f"{PREFIX}{key}-{number}{SUFFIX}" for number, folder in enumerate(folders))
    return HiddenFiles(folders[0] / f"{PREFIX}{key}{JOURNAL}", tuple(data))


def room_needed(sizes: Mapping[Path, int], key: str) -> dict[Path, int]:
    """Subtract from the sizes of a run's files, in bytes, what it has left of each."""
    hidden = hidden_files(key, list(sizes)).data if sizes else ()
    return {path: max(0, size - _size(there)) for (path, size), there in zip(sizes.items(), hidden, strict=True)}


def check_alone(paths: Sequence[Path], but: Path | None = None) -> None:
    """Check that no living run writes to one of `paths`; `but` is the journal of this run, if it has its lock.

    Raises:
        OutputError: One does.
    """
    targets = {real(path): path for path in paths}
    for folder in {target.parent for target in targets}:
        for journal in _journals_in(folder):
            with suppress(OSError):
                if journal != but and is_locked(journal):
                    for name in names_in(header_of(journal)):
                        if folder / name in targets:
                            raise busy(targets[folder / name])


def busy(path: Path) -> OutputError:
    """Make the refusal of an output that another run is writing."""
    return OutputError(f"Another run is writing {path}; wait until it has ended, or choose another path with -o.")


def names_in(header: Mapping[str, Json] | None) -> list[str]:
    """Return the names of the outputs of a journal's run."""
    names = (header or {}).get("outputs")
    return [str(name) for name in names] if isinstance(names, list) else []


def _journals_in(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.name.endswith(JOURNAL) and entry.is_file(follow_symlinks=False)
        ]
    return []


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
