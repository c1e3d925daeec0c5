"""The download of files of the Hub into the cache of `huggingface_hub`, by several threads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event

from huggingface_hub import hf_hub_download
from tqdm import tqdm

from quantize_cli.checkpoints.hub_errors import asking
from quantize_cli.observer import Observer

#: Number of files that are downloaded at a time, that of `huggingface_hub` itself.
THREADS = 8
#: Seconds between two reports of progress.
_INTERVAL = 0.1


class SilentBar(tqdm):  # type: ignore[misc]
    """A progress bar that shows nothing."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{**options, "disable": True})


def download(model_id: str, commit: str, names: Iterable[str], observer: Observer) -> None:
    """Download files of one commit, and report the downloaded bytes to `observer` in the calling thread.

    A failure or interrupt stops all downloads at their next chunk.

    Raises:
        CheckpointError: A file cannot be downloaded.
    """
    counts: SimpleQueue[int] = SimpleQueue()
    stopped = Event()

    class Counter(SilentBar):
        """A bar that counts the written bytes and can stop a download."""

        def update(self, n: float | None = 1) -> None:
            if stopped.is_set():
                raise InterruptedError("another download has failed, or the user has stopped all")
            counts.put(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Ignore the bytes on the network, because `update` counts the same bytes when they are written."""

        def set_transfer_postfix_str(self, *args: object, **options: object) -> None:
            """Show nothing."""

    def tell() -> None:
        if nbytes := sum(counts.get() for _ in range(counts.qsize())):
            observer.downloaded(nbytes)

    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="download")
    try:
        waiting: set[Future[str]] = {
            pool.submit(hf_hub_download, model_id, name, revision=commit, tqdm_class=Counter) for name in names
        }
        while waiting:
            done, waiting = wait(waiting, _INTERVAL, FIRST_EXCEPTION)
            tell()
            with asking(model_id, commit):
                for future in done:
                    future.result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


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
