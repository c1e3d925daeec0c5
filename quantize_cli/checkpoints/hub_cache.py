"""The folders of the Hub's cache: which repository and commit a path in it belongs to.

Layout of models--ORG--NAME: refs/BRANCH holds a commit, snapshots/COMMIT/ has the commit's files, as links into blobs/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from quantize_cli.checkpoints.reading import opened
from quantize_cli.errors import CheckpointError, listed

COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"models--(?:(?P<owner>[\w.-]+?)--)?(?P<name>[\w.-]+)")
#: Where the cache keeps contents: of one repository, or, by newer clients, of all.
_BLOB = re.compile(r".*/(?:models--[^/]+/blobs/[^/]+|blobs/[0-9a-f]{2}/[0-9a-f]{64})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: A commit is short, so a file of refs/ that is longer is not one.
_MAX_REF_BYTES = 64


class Origin(NamedTuple):
    """Where on the Hub a model comes from."""

    repository: str  #: ORG/NAME
    commit: str  #: 40 hexadecimal digits


def origin_of(folder: Path) -> Origin | None:
    """Return the origin of a snapshot's folder in the cache, also behind links; return None for other folders."""
    for path in (folder.absolute(), folder.resolve()):
        *_, models, snapshots, commit = ("", "", "", *path.parts)
        repository = repository_of(models)
        if repository is not None and snapshots == "snapshots" and COMMIT.fullmatch(commit):
            return Origin(repository, commit)
    return None


def snapshot_in(folder: Path) -> Path | None:
    """Return the snapshot that a repository's folder in the cache leads to; return None for other folders.

    Raises:
        CheckpointError: There is not exactly one snapshot, and none is that of the main branch.
    """
    snapshots = folder / "snapshots"
    if repository_of(folder.resolve().name) is None or not snapshots.is_dir():
        return None
    found = sorted(path.name for path in snapshots.iterdir() if COMMIT.fullmatch(path.name))
    try:
        with opened(folder / "refs" / "main") as file:
            main = file.read(0, _MAX_REF_BYTES).decode("ascii", "replace").strip()
    except CheckpointError:
        main = ""
    if main in found or len(found) == 1:
        return snapshots / (main if main in found else found[0])
    if not found:
        raise CheckpointError(f"{folder} does not hold any snapshot; download the model again.")
    raise CheckpointError(f"{folder} holds several snapshots; give the path of one: {listed(found)}.")


def is_blob(path: Path) -> bool:
    """Tell whether a path without links is the content of a file in the cache."""
    return _BLOB.fullmatch(path.as_posix()) is not None


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of a large file in the cache, whose content is named by it; None for other files."""
    content = path.resolve()
    return content.name if is_blob(content) and _SHA256.fullmatch(content.name) else None


def repository_of(folder_name: str) -> str | None:
    """Return ORG/NAME for the name of a repository's folder."""
    match = REPOSITORY.fullmatch(folder_name)
    if match is None:
        return None
    return f"{match['owner']}/{match['name']}" if match["owner"] else match["name"]
