"""Models of the Hugging Face Hub, in the cache of `huggingface_hub`: headers first, weights on request.

HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE mean what they mean to that library. The endpoint is trusted with the
token and the choice of files; its answers, and the files that its users keep there, are checked before they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from huggingface_hub import constants
from huggingface_hub.errors import RevisionNotFoundError
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import SourceFile
from quantize_cli.checkpoints.download import THREADS, download, quiet
from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.hub_cache import COMMIT
from quantize_cli.checkpoints.hub_errors import asking
from quantize_cli.checkpoints.remote import RemoteFile, read_listing, read_remote_bytes, read_remote_header
from quantize_cli.checkpoints.safetensors import SafetensorsFiles
from quantize_cli.checkpoints.sidecars import SMALL_FILES, FolderSidecars, check_size
from quantize_cli.checkpoints.weight_files import other_weights, read_index, weight_files
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, shown
from quantize_cli.observer import Observer

#: The name of a small file: at most one folder, neither of them hidden.
_PLACE = re.compile(r"(?:[\w-][\w .-]*/)?[\w-][\w .-]*")
_MAX_SMALL_FILES = 256


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of a repository, whose small files are in the cache."""

    commit: str
    folder: Path  #: where the cache has the commit's files
    files: Mapping[str, RemoteFile]  #: the files of the commit by name; offline, those in the cache, without sizes


class HubCheckpoint(SafetensorsFiles):
    """A model on the Hub; small files and headers are read at once, and `fetch` downloads the weights.

    Args:
        model_id: The Hub id, ORG/NAME.
        revision: A branch, tag or commit; None is the main branch.
        observer: Receives a sentence when headers are read from the Hub.

    Raises:
        CheckpointError: The model cannot be downloaded, is not a model, or its files are damaged.
        UnsupportedError: Its weights are not in safetensors files.
    """

    def __init__(self, model_id: str, revision: str | None, observer: Observer) -> None:
        with asking(model_id, revision), quiet():
            self._snapshot = snapshot = _snapshot(model_id, revision)
        name = model_id.rpartition("/")[2]
        super().__init__(snapshot.folder, name, model_id, FolderSidecars(snapshot.folder, model_id))
        self._pending: dict[str, tuple[int, list[Located]]] = {}  # size and tensors of each file that is not here
        if not self.sidecars.has("config.json"):
            raise CheckpointError(
                f"{model_id} does not have a config.json at {constants.ENDPOINT}; choose a model in Hugging Face "
                "layout."
            )
        weight_map = read_index(self.sidecars)
        files = weight_files(snapshot.files, weight_map, model_id)
        if not files:
            raise other_weights(tuple(snapshot.files), model_id) or UnsupportedError(
                f"{model_id} does not have model*.safetensors at {constants.ENDPOINT}; choose a model whose weights "
                "are in such files."
            )
        self._add_all(files, observer)
        if weight_map is not None:
            self._check_against(weight_map)

    def _source_file(self, file: str) -> SourceFile:
        """Describe a file, which may be on the Hub alone."""
        listed = self._snapshot.files.get(file)
        stated = None if listed is None else listed.sha256
        if file in self._pending:
            return SourceFile(file, self._pending[file][0], stated)
        here = super()._source_file(file)
        return replace(here, sha256=here.sha256 or stated)

    @property
    def missing(self) -> Mapping[Path, int]:
        """The files of weights that the cache lacks, each with its size in bytes."""
        return {self.folder / file: size for file, (size, _) in self._pending.items()}

    def fetch(self, observer: Observer) -> None:
        """Download the missing files into the cache; see `Checkpoint.fetch`."""
        if not self._pending:
            return
        observer.download_started(len(self._pending), sum(self.missing.values()))
        with quiet():
            download(self.location, self._snapshot.commit, self._wanted(), observer)
        for file, (_, tensors) in self._pending.items():
            path = self.folder / file
            if self._read_header(path) != tensors:
                raise CheckpointError(
                    f"{path} is not the file whose header {constants.ENDPOINT} sent before; delete it and run again."
                )
        self._pending.clear()

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes, uint8[nbytes], on the Hub if its file is not here."""
        info = self.infos[name]
        if info.file not in self._pending:
            return super().read_small(name)
        with asking(self.location, self._snapshot.commit), quiet():
            content = read_remote_bytes(
                self.location, self._snapshot.commit, info.file, self._offsets[name], info.nbytes
            )
        return np.frombuffer(content, np.uint8)

    def _add_all(self, files: Sequence[str], observer: Observer) -> None:
        """Add the tensors of all files in order; for missing files, read the headers on the Hub."""
        missing = [file for file in files if not (self.folder / file).exists()]
        if lost := next((file for file in missing if file not in self._snapshot.files), None):
            raise CheckpointError(f"{self.location}/{lost} is missing; choose a revision that is complete.")
        if missing:
            observer.noted(f"Reading the headers of {len(missing)} files of {self.location}.")
            self._pending = self._headers(missing)
        for file in files:
            if file in self._pending:
                self._add(self._pending[file][1])
            else:
                self._add_file(self.folder / file)

    def _wanted(self) -> list[RemoteFile]:
        """List the files to download; the size that a header was checked against is the one that counts."""
        return [self._snapshot.files[file]._replace(size=size) for file, (size, _) in self._pending.items()]

    def _headers(self, files: Sequence[str]) -> dict[str, tuple[int, list[Located]]]:
        def read(file: str) -> tuple[int, list[Located]]:
            return read_remote_header(self.location, self._snapshot.commit, file)

        with asking(self.location, self._snapshot.commit), quiet(), ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(files, pool.map(read, files), strict=True))


def _snapshot(model_id: str, revision: str | None) -> Snapshot:
    """Look the model up on the Hub, or, if that fails, in the cache alone."""
    try:
        return _looked_up(model_id, revision or constants.DEFAULT_REVISION)
    except (QuantizeError, RevisionNotFoundError):
        raise
    except Exception:
        cached = _cached(model_id, revision or constants.DEFAULT_REVISION)
        if cached is None:
            raise
        return cached


def _looked_up(model_id: str, revision: str) -> Snapshot:
    """Download the small files that are not in the cache."""
    listing = read_listing(model_id, revision)
    small = [file for file in listing.files if any(fnmatchcase(file.name, pattern) for pattern in SMALL_FILES)]
    for file in small:
        if not _PLACE.fullmatch(file.name):
            raise CheckpointError(
                f"{model_id} names the file {shown(file.name)}, which would be outside its folder; take the model from "
                "a source you trust."
            )
        check_size(file.size or 0, file.name, f"{model_id}/{file.name}")
    if len(small) > _MAX_SMALL_FILES:
        raise CheckpointError(
            f"{model_id} has {len(small):,} small files, but {_MAX_SMALL_FILES} is the limit; take the model from a "
            "source you trust."
        )
    cache = _cache_of(model_id)
    folder = cache / "snapshots" / listing.commit
    download(model_id, listing.commit, [file for file in small if not (folder / file.name).exists()], Observer())
    if revision != listing.commit:  # what the client does too, so that the revision can be found without the Hub
        ref = cache / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(listing.commit)
    return Snapshot(listing.commit, folder, {file.name: file for file in listing.files})


def _cached(model_id: str, revision: str) -> Snapshot | None:
    """Find the model in the cache, or return None unless all of it is there."""
    cache = _cache_of(model_id)
    try:
        commit = revision if COMMIT.fullmatch(revision) else (cache / "refs" / revision).read_text().strip()
        folder = cache / "snapshots" / commit
        names = tuple(file.name for file in folder.iterdir()) if COMMIT.fullmatch(commit) else ()
    except (OSError, ValueError):
        return None
    weights = weight_files(names, read_index(FolderSidecars(folder, model_id)), model_id)
    here = {name: RemoteFile(name, None, None) for name in names}
    return Snapshot(commit, folder, here) if weights and here.keys() >= set(weights) else None


def _cache_of(model_id: str) -> Path:
    """Return the repository's folder in the cache; see `hub_cache`."""
    return Path(constants.HF_HUB_CACHE) / f"models--{model_id.replace('/', '--')}"
