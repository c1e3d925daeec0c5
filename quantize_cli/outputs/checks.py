"""What can be refused before a long run whose output could not be written."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from quantize_cli.errors import OutputError
from quantize_cli.outputs.refusals import writing
from quantize_cli.outputs.sinks import real


def check_output(path: Path, *, force: bool, option: str = "-o") -> None:
    """Check, before a long run, that `path` can be written after it; `option` is the one that chose `path`.

    Raises:
        OutputError: `path` exists and `force` is not set, or is not a regular file; or its folder is missing or not
            writable.
    """
    with writing(path, option):
        target = real(path)
        if target.is_symlink():
            raise OutputError(f"{path} is a link that leads back to itself; choose another path with {option}.")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is not a regular file; choose another path with {option}.")
        if target.exists() and not force:
            raise OutputError(f"{path} exists; choose another path with {option}, or overwrite it with --force.")
        if not target.parent.exists():
            raise OutputError(f"The folder {target.parent} does not exist; create it, or choose another with {option}.")
        check_folder(target.parent, option)


def check_folder(folder: Path, option: str = "-o") -> None:
    """Check that files can be made in `folder`, or in the nearest folder above it that exists.

    Raises:
        OutputError: They cannot.
    """
    with writing(folder, option):
        if folder.is_symlink() and not folder.exists():
            raise OutputError(f"{folder} is a link to {real(folder)}, which does not exist; create that folder.")
        there = nearest(folder)
        if not there.is_dir():
            raise OutputError(f"{there} is not a folder; choose another path with {option}.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {there} is not writable; choose another with {option}.")


def check_room(sizes: Mapping[Path, int]) -> None:
    """Check that each disk has room for all the files that will be written to it; `sizes` are in bytes.

    Raises:
        OutputError: A disk does not have enough room.
    """
    disks: dict[int, list[Path]] = defaultdict(list)
    for path in sizes:
        with writing(path):
            disks[nearest(real(path).parent).stat().st_dev].append(path)
    for paths in disks.values():
        size = sum(sizes[path] for path in paths)
        disk = shutil.disk_usage(nearest(real(paths[0]).parent))
        free = disk.free
        if disk.total == 0:
            raise OutputError(f"{paths[0]} is on a file system of the kernel's, such as /proc; choose another path.")
        if size > free:
            others = f" and {len(paths) - 1} more files on the same disk" if len(paths) > 1 else ""
            raise OutputError(
                f"{paths[0]}{others} will take {size:,} bytes, but the disk has {free:,} free; "
                "free some space, or choose another disk."
            )


def same_file(path: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file, through links of any kind or letters of another case too.

    Of two names that differ only in case, neither of which exists, nobody can tell; they are taken for one file.
    """
    try:
        return path.samefile(other)
    except OSError:
        one, two = real(path), real(other)
        return one == two or (not one.exists() and not two.exists() and str(one).casefold() == str(two).casefold())


def nearest(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that exists."""
    return next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
