"""What a calibration keeps on the disk while it works, so that a stopped one goes on at its block."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from quantize_cli.calibrate.states import States
from quantize_cli.errors import CheckpointError, OutputError, UnsupportedError
from quantize_cli.outputs.hidden import busy
from quantize_cli.outputs.refusals import writing

#: Values by name, as `numpy.savez` takes them.
Values = Mapping[str, NDArray[Any]]


class Work:
    """A folder beside the output, hidden, with what is done: states of tensors, and figures of blocks.

    As a context, it removes the folder at the end. It leaves the folder for a later run if the block is stopped, but
    not if the model turns out to be one that no run can measure.

    Args:
        output: The calibration file.
        key: What decides the figures: model, texts, options. What another key has left is given up.

    Raises:
        OutputError: The folder cannot be made, is not a folder of this user, or belongs to a run that goes on.
    """

    def __init__(self, output: Path, key: Mapping[str, object]) -> None:
        self.folder = _folder(output)
        with writing(self.folder):
            self._descriptor = _locked(self.folder, output)
            try:
                self._begin(json.dumps(key, sort_keys=True))
            except BaseException:
                os.close(self._descriptor)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, CheckpointError | UnsupportedError):
            self.remove()
        os.close(self._descriptor)

    def states(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> States:
        """Return a tensor that lies in a file; a new one has zeros.

        Raises:
            OutputError: The disk is full, for example.
        """
        path = self._states(name)
        with writing(path):
            return States(path, shape, dtype)

    def forget(self, name: str) -> None:
        """Remove states, if they are there."""
        self._states(name).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Tell whether figures are there."""
        return self._figures(name).is_file()

    def keep(self, name: str, values: Values) -> None:
        """Write figures; once `has` tells that they are there, they are whole.

        Raises:
            OutputError: They cannot be written.
        """
        begun = self.folder / f"{name}.part.npz"
        with writing(self._figures(name)):
            np.savez(begun, **values)  # type: ignore[arg-type]
            begun.rename(self._figures(name))

    def kept(self, name: str) -> dict[str, NDArray[Any]]:
        """Read figures.

        Raises:
            OutputError: They are damaged.
        """
        try:
            with np.load(self._figures(name), allow_pickle=False) as held:
                return {key: held[key] for key in held.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise OutputError(
                f"{self._figures(name)}, which a stopped run has left, is damaged; remove {self.folder}, and start "
                "again."
            ) from error

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, key: str) -> None:
        """Give up what another key has left."""
        told = self.folder / "key.json"
        if not told.is_file() or told.read_text(encoding="utf-8") != key:
            for path in self.folder.iterdir():
                path.unlink()
            told.write_text(key, encoding="utf-8")

    def _states(self, name: str) -> Path:
        return self.folder / f"{name}.states"

    def _figures(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def work_left(output: Path) -> int:
    """Return how many bytes an earlier run has left in its folder."""
    try:
        return sum(path.lstat().st_size for path in _folder(output).iterdir())
    except OSError:  # there is none, or it is another user's, which `Work` refuses
        return 0


def _folder(output: Path) -> Path:
    return output.parent / f".{output.name}.unfinished"


def _locked(folder: Path, output: Path) -> int:
    """Make a folder if it is missing, and return a descriptor that locks it as long as the process lives."""
    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.geteuid():
            raise OutputError(f"{folder} is not a folder of yours, and unfinished work would lie there; remove it.")
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise busy(output) from None
        except OSError:  # not every file system has locks
            return descriptor
        with suppress(FileNotFoundError):  # if the run that held the lock has removed the folder
            if os.path.samestat(os.fstat(descriptor), folder.lstat()):
                return descriptor
        os.close(descriptor)
