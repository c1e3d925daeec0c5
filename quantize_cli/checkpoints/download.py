"""The download of files of the Hub into the cache of `huggingface_hub`, by several threads."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from huggingface_hub import hf_hub_download
from tqdm import tqdm

from quantize_cli.checkpoints import hub_ids  # noqa: F401  # checks what the client makes paths of
from quantize_cli.checkpoints.hub_errors import asking
from quantize_cli.checkpoints.remote import RemoteFile
from quantize_cli.checkpoints.sidecars import max_bytes
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.observer import Observer

#: Number of files that are downloaded at a time, that of `huggingface_hub` itself.
THREADS = 8
#: Seconds between two reports of progress.
_INTERVAL = 0.1
#: How often a server may send a file from its beginning again.
_MAX_RESTARTS = 5


class SilentBar(tqdm):  # type: ignore[misc]
    """A progress bar that shows nothing."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{**options, "disable": True})


def download(model_id: str, commit: str, files: Iterable[RemoteFile], observer: Observer) -> None:
    """Download files of one commit, and report the downloaded bytes to `observer` in the calling thread.

    A failure or interrupt stops all downloads at their next chunk.

    Raises:
        CheckpointError: A file cannot be downloaded, or is not the one that was asked for.
    """
    counts: SimpleQueue[int] = SimpleQueue()
    stopped = Event()

    def get(file: RemoteFile) -> None:
        where = f"{model_id}/{shown(file.name)[1:-1]}"
        limit = max_bytes(file.name) if file.size is None else file.size
        received = restarts = 0

        class Counter(SilentBar):
            """A bar that counts the written bytes and can stop a download."""

            def update(self, n: float | None = 1) -> None:
                nonlocal received, restarts
                if stopped.is_set():
                    raise InterruptedError("another download has failed, or the user has stopped all")
                received, restarts = received + int(n or 0), restarts + ((n or 0) < 0)
                if received > limit or restarts > _MAX_RESTARTS:
                    raise CheckpointError(
                        f"The server sends more than the {limit:,} bytes that {where} can have; try again later."
                    )
                counts.put(int(n or 0))

            def update_transfer(self, n: float | None = 1) -> None:
                """Ignore the bytes on the network, because `update` counts the same bytes when they are written."""

            def set_transfer_postfix_str(self, *args: object, **options: object) -> None:
                """Show nothing."""

        _check(Path(hf_hub_download(model_id, file.name, revision=commit, tqdm_class=Counter)), file, where)

    def tell() -> None:
        if nbytes := sum(counts.get() for _ in range(counts.qsize())):
            observer.downloaded(nbytes)

    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="download")
    try:
        waiting: set[Future[None]] = {pool.submit(get, file) for file in files}
        while waiting:
            done, waiting = wait(waiting, _INTERVAL, FIRST_EXCEPTION)
            tell()
            with asking(model_id, commit):
                for future in done:
                    future.result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _check(path: Path, file: RemoteFile, where: str) -> None:
    """Check a downloaded file against the Hub's list, which `huggingface_hub` does not; remove it if it differs."""
    with path.open("rb") as opened:
        good = file.size in (None, os.fstat(opened.fileno()).st_size)
        if good and file.sha256 is not None:
            good = hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
    if not good:
        # One link further is the repository's blob; behind it may be one that other repositories share.
        blob = path.parent / path.readlink() if path.is_symlink() else path
        path.unlink()
        blob.unlink(missing_ok=True)
        raise CheckpointError(f"{where} was damaged on its way, because its size or SHA-256 differs; run again.")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep `huggingface_hub`'s own handlers from logging to standard error; it raises whatever matters."""

    def silence(_record: logging.LogRecord) -> bool:
        return False

    handlers = [*logging.getLogger("huggingface_hub").handlers]
    for handler in handlers:
        handler.addFilter(silence)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(silence)
