"""Models of the Hugging Face Hub, in the cache of `huggingface_hub`: headers first, weights on request.

HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE mean what they mean to that library. The endpoint is trusted; the
files that its users keep there are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

from quantize_cli.checkpoints.download import THREADS, SilentBar, download, quiet
from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.hub_errors import asking
from quantize_cli.checkpoints.remote import read_remote_header
from quantize_cli.checkpoints.safetensors import SafetensorsFiles, read_index, weight_files
from quantize_cli.checkpoints.sidecars import SMALL_FILES, FolderSidecars, check_size
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError
from quantize_cli.observer import Observer

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of a repository, whose small files are in the cache."""

    commit: str
    folder: Path  #: where the cache has the commit's files
    names: tuple[str, ...]  #: names of the files of the commit; offline, of those in the cache


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
        files = weight_files(snapshot.names, weight_map)
        if not files:
            raise UnsupportedError(
                f"{model_id} does not have model*.safetensors at {constants.ENDPOINT}; choose a model whose weights "
                "are in such files, not in .bin, .pth or .gguf."
            )
        self._add_all(files, observer)
        if weight_map is not None:
            self._check_against(weight_map)

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
            download(self.location, self._snapshot.commit, list(self._pending), observer)
        for file, (_, tensors) in self._pending.items():
            path = self.folder / file
            if self._read_header(path) != tensors:
                raise CheckpointError(
                    f"{path} is not the file whose header {constants.ENDPOINT} sent before; delete it and run again."
                )
        self._pending.clear()

    def _add_all(self, files: Sequence[str], observer: Observer) -> None:
        """Add the tensors of all files in order; for missing files, read the headers on the Hub."""
        missing = [file for file in files if not (self.folder / file).exists()]
        if lost := next((file for file in missing if file not in self._snapshot.names), None):
            raise CheckpointError(f"{self.location}/{lost} is missing; choose a revision that is complete.")
        if missing:
            observer.noted(f"Reading the headers of {len(missing)} files of {self.location}.")
            self._pending = self._headers(missing)
        for file in files:
            if file in self._pending:
                self._add(self._pending[file][1])
            else:
                self._add_file(self.folder / file)

    def _headers(self, files: Sequence[str]) -> dict[str, tuple[int, list[Located]]]:
        def read(file: str) -> tuple[int, list[Located]]:
            return read_remote_header(self.location, self._snapshot.commit, file)

        with asking(self.location, self._snapshot.commit), quiet(), ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(files, pool.map(read, files), strict=True))


def _snapshot(model_id: str, revision: str | None) -> Snapshot:
    """Look the model up on the Hub, or, if that fails, in the cache alone."""
    try:
        return _looked_up(model_id, revision)
    except (QuantizeError, RevisionNotFoundError):
        raise
    except Exception:
        cached = _cached(model_id, revision)
        if cached is None:
            raise
        return cached


def _looked_up(model_id: str, revision: str | None) -> Snapshot:
    """Download the small files that are not in the cache."""
    revision, timeout = revision or constants.DEFAULT_REVISION, constants.HF_HUB_ETAG_TIMEOUT
    info = HfApi().model_info(model_id, revision=revision, files_metadata=True, timeout=timeout)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    for name, size in sizes.items():
        if any(fnmatchcase(name, pattern) for pattern in SMALL_FILES):
            check_size(size, name, f"{model_id}/{name}")
    folder = Path(
        snapshot_download(model_id, revision=revision, allow_patterns=list(SMALL_FILES), tqdm_class=SilentBar)
    )
    if folder.name != info.sha or not _COMMIT.fullmatch(folder.name):
        raise CheckpointError(f"{model_id} has changed while it was looked up; run again.")
    return Snapshot(folder.name, folder, tuple(sizes))


def _cached(model_id: str, revision: str | None) -> Snapshot | None:
    """Find the model in the cache, or return None unless all of it is there."""
    try:
        folder = Path(
            snapshot_download(model_id, revision=revision, allow_patterns=list(SMALL_FILES), local_files_only=True)
        )
    except LocalEntryNotFoundError:
        return None
    names = tuple(file.name for file in folder.iterdir())
    weights = weight_files(names, read_index(FolderSidecars(folder, model_id)))
    return Snapshot(folder.name, folder, names) if weights and set(weights) <= set(names) else None
