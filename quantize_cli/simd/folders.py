"""The folders that hold machine code of kernels, and who may write to them.

What is in them is unpickled and then run. So each file, and each folder on the way to it, must belong to this user or
to root, and nobody else may be able to write to it. Where the user's folder does not meet that, or cannot be written
to, a private folder serves this process and its workers.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from quantize_cli.simd.notes import note

_PACKAGE = Path(__file__).parents[1]
#: The rooms that hold kernels.
_ROOMS = ("simd", "blocks", "measure", "methods")
#: The largest file that is read; machine code of a kernel takes less than a tenth.
_LIMIT = 16 << 20
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@cache
def text_digest(file: Path) -> bytes:
    """Hash the text of a file."""
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _kernels_digest(package: Path) -> str:
    """Hash the names and the text of all files of a package that may hold a kernel, or what kernels are made from."""
    digest = hashlib.sha256()
    files = (file for room in _ROOMS for file in (package / room).rglob("*") if file.suffix in (".py", ".txt"))
    for module in sorted(files):
        digest.update(module.relative_to(package).as_posix().encode() + b"\0" + text_digest(module))
    return digest.hexdigest()[:16]


def cache_folder() -> Path | None:
    """Name the user's folder, in $NUMBA_CACHE_DIR, $XDG_CACHE_HOME or ~/.cache: the first that is set.

    None if all are missing: a user without an entry in the system's table may have no home.
    """
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        place = Path(base) if base else Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return place.absolute() / "quantize-cli" / _kernels_digest(_PACKAGE)


def readable() -> list[Path]:
    """Return the folders to read from, without links on the way: the user's if it is safe, and the private one."""
    folder = cache_folder()
    found = []
    if folder is not None and os.path.isdir(folder) and _is_safe(folder):  # noqa: PTH112  a refusal is False to it
        found.append(Path(os.path.realpath(folder)))
    return found if _private is None else [*found, _private]


def writable() -> Path | None:
    """Return the folder to write to, without links on the way, which is made if it is missing.

    It is the user's if that is safe and can be written to, and else the private one; None if there can be neither.
    """
    folder = cache_folder()
    if folder is None:
        _note_every_run("there is no home folder that could keep them")
        return private_folder()
    try:
        _make(folder)
    except OSError as error:
        _note_every_run(f"their cache {folder} cannot be made ({error.strerror})")
        return private_folder()
    if not _is_safe(folder):
        return private_folder()
    if not os.access(folder, os.W_OK):
        _note_every_run(f"their cache {folder} cannot be written to")
        return private_folder()
    return Path(os.path.realpath(folder))


def _note_every_run(reason: str) -> None:
    sentence = f"Every run compiles its kernels again, because {reason}; set NUMBA_CACHE_DIR to a folder of your own."
    note(sentence, lost=True)


def _make(folder: Path) -> None:
    """Make the folder; the parts of its path that are ours cannot be written to by others, whatever the umask."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for ours in (folder.parent, folder):
        ours.mkdir(mode=0o755, exist_ok=True)


_private: Path | None = None


def private_folder() -> Path | None:
    """Return the private folder, made when it is first asked for; None if there is no place for it."""
    if _private is None:
        with suppress(OSError):
            folder = tempfile.mkdtemp(prefix="quantize-cli-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            use_private(Path(folder))
    return _private


def use_private(folder: Path) -> None:
    """Take `folder`, which the process that started this one has made, for the private folder."""
    global _private
    place = Path(os.path.realpath(folder))
    if all(_fault(part.lstat(), strictly=part == place) is None for part in (place, *place.parents)):
        _private = place


def _is_safe(folder: Path) -> bool:
    """Tell whether only this user and root can change what is in the folder; note why not."""
    place = Path(os.path.realpath(folder))
    for part in (place, *place.parents):
        try:
            fault = _fault(part.lstat(), strictly=part in (place, place.parent))
        except OSError:
            return False
        if fault is not None:
            _note_every_run(f"{part}, which is or holds their cache, {fault}")
            return False
    return True


def _fault(held: os.stat_result, *, strictly: bool) -> str | None:
    """Tell what is wrong with the owner or the mode of a file or folder; None if nothing is.

    Nobody can replace what others own in a folder with the sticky bit, so that /tmp may be on the way.
    """
    if held.st_uid not in {0, os.geteuid(), Path("/").stat().st_uid}:  # root has another number in some containers
        return "belongs to another user"
    others = held.st_mode & _OTHERS_WRITE
    if not strictly and (held.st_mode & stat.S_ISVTX or (others == stat.S_IWGRP and _is_own_group(held.st_gid))):
        return None
    return "can be written to by other users" if others else None


def _is_own_group(group: int) -> bool:
    """Tell whether a group is this user's alone, as many systems make one for each user."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return group == user.pw_gid and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def read(file: Path) -> bytes | None:
    """Read a file of a safe folder; None if it is missing, or is not a file that only this user and root can change.

    Raises:
        OSError: it cannot be read.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as opened:
        held = os.fstat(handle)
        if not stat.S_ISREG(held.st_mode) or held.st_size > _LIMIT or _fault(held, strictly=True):
            return None
        return opened.read(_LIMIT)


def write(file: Path, data: bytes) -> None:
    """Write a file of a safe folder as a whole, in place of the one that is there.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    unfinished = file.with_name(f".{uuid4().hex}")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
