"""The traces that programs leave while they download a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from quantize_cli.checkpoints.reading import reading
from quantize_cli.errors import CheckpointError, listed

#: What programs append to a file's name: curl and browsers, aria2, `huggingface_hub`, wget's users, qBittorrent.
_SUFFIXES = (".incomplete", ".part", ".partial", ".aria2", ".crdownload", ".download", ".opdownload", ".!qB", ".tmp")
#: aria2 gives the file its name and its size at once.
_SUFFIXES_BESIDE_THE_FILE = (".aria2",)
#: Where `hf download --local-dir` keeps files that are not complete, under names of its own.
_HUB_FOLDER = Path(".cache", "huggingface", "download")


def is_trace(path: Path) -> bool:
    """Tell by its name whether a file is what a program leaves while it downloads weights."""
    name, _, suffix = path.name.rpartition(".")
    return f".{suffix}" in _SUFFIXES and name.endswith((".safetensors", ".gguf"))


def unfinished(path: Path) -> Path | None:
    """Return what shows that the download of `path`, which may be missing, has not ended; None if nothing does."""
    names = {file.name for file in path.parent.iterdir()} if path.parent.is_dir() else set()
    return next(_traces(path.parent, [path.name], names), None)


def check_finished(folder: Path, names: Sequence[str]) -> None:
    """Check that all files are here and that nothing still downloads them.

    Raises:
        CheckpointError: Files are missing, or are not complete.
    """
    with reading(folder):
        here = {file.name for file in folder.iterdir()}
        if trace := next(_traces(folder, names, here), None):
            raise not_ended(folder, trace)
    missing = [name for name in names if name not in here]
    if missing:
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise CheckpointError(
            f"{folder} is not complete: {listed(missing)} {are} missing; download {them}, or the whole model, again."
        )


def _traces(folder: Path, names: Sequence[str], here: Set[str]) -> Iterator[Path]:
    """List the traces of the downloads of some files of a folder, which holds the names `here`."""
    possible = {name for name in here if name.endswith(_SUFFIXES)}
    for name in names if possible else ():
        suffixes = _SUFFIXES_BESIDE_THE_FILE if name in here else _SUFFIXES
        yield from (folder / (name + suffix) for suffix in suffixes if name + suffix in possible)
    if not set(names) <= here:
        yield from sorted((folder / _HUB_FOLDER).glob("*.incomplete"))


def not_ended(path: Path, trace: Path) -> CheckpointError:
    """Return the refusal of a file or folder whose download has not ended, as `trace` shows."""
    return CheckpointError(f"The download of {path} has not ended, because {trace} is there; go on with it.")
