"""Ranges of the files of one commit on the Hub, read into memory and asked for again until they are complete.

The Hub's client finds out where a file is; then the ranges are asked for there, because the Hub counts the requests for
addresses. An address may be signed and expire: when it brings nothing, the Hub is asked for a new one.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from huggingface_hub import constants, file_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not listed as exported
    build_hf_headers,
    get_session,
)

from quantize_cli.checkpoints import hub_ids  # noqa: F401  # checks the ids in the Hub's answers
from quantize_cli.checkpoints.hub_errors import asking
from quantize_cli.checkpoints.remote import RemoteFile
from quantize_cli.checkpoints.stream_waits import Waits
from quantize_cli.errors import CheckpointError, QuantizeError, shown

#: Attempts in a row that may bring next to nothing: the waits between them take a minute and a half.
MAX_FAILURES = 8
#: Attempts in a row that a server may refuse for good: an address that has expired is one.
MAX_REFUSALS = 2
#: An attempt with so many bytes is progress.
PROGRESS_BYTES = 1 << 16
#: Seconds that one attempt may take; what it has brought by then is kept.
MAX_SECONDS = 60.0
#: The longest wait that a server may ask for; the Hub counts requests in five minutes.
MAX_WAIT = 330.0

_CHUNK_BYTES = 1 << 18
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_SECONDS = re.compile(r"\d{1,9}")
_RATE_LIMIT = re.compile(r";\s*r=0\s*;\s*t=(\d{1,9})")
#: Statuses that may be others soon, beside 5xx.
_FOR_NOW = (408, 425, 429)


class _Address(NamedTuple):
    url: str
    headers: dict[str, str]


class _AttemptError(Exception):
    """An attempt has failed, and the next one may not.

    Args:
        reason: What was wrong, for the message when all attempts have failed.
        wait: Seconds that the server asks to wait.
        refused: Whether the server will most likely say the same again.
    """

    def __init__(self, reason: str, *, wait: float | None = None, refused: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.refused = refused


class _Wanted:
    """Bytes of `file` from `first` on, as many as `room` has; `come` of them are there."""

    def __init__(self, file: RemoteFile, first: int, room: memoryview) -> None:
        self.file = file
        self._first = first
        self._room = room
        self.come = 0

    @property
    def left(self) -> int:
        return len(self._room) - self.come

    @property
    def start(self) -> int:
        """The place in the file of the first byte that is still to come."""
        return self._first + self.come

    @property
    def stop(self) -> int:
        return self._first + len(self._room)

    def take(self, chunks: Iterable[bytes]) -> Iterator[None]:
        """Take what comes in answer to one request; nothing of it counts if it is too much."""
        before = self.come
        for chunk in chunks:
            if len(chunk) > self.left:
                self.come = before
                raise _AttemptError("it sends more than it was asked for", refused=True)
            self._room[self.come : self.come + len(chunk)] = chunk
            self.come += len(chunk)
            yield


class Ranges:
    """Reads ranges of files; safe to use from several threads.

    Args:
        model_id: The Hub id, ORG/NAME.
        commit: The commit, 40 hexadecimal digits.
        files: The files, whose sizes are known.
        waits: The clock, and the waits between attempts.
    """

    def __init__(self, model_id: str, commit: str, files: Iterable[RemoteFile], waits: Waits | None = None) -> None:
        self._model_id = model_id
        self._commit = commit
        self._files = {file.name: file for file in files}
        self._waits = waits or Waits()
        self._finding = Lock()
        self._addresses: dict[str, _Address] = {}
        self._etags: dict[tuple[str, str], str] = {}  # file and host -> the ETag that its first answer had
        self._counts: SimpleQueue[int] = SimpleQueue()
        self._sentences: SimpleQueue[str] = SimpleQueue()

    def received(self) -> int:
        """Return how many bytes have come since the last call."""
        return sum(self._counts.get() for _ in range(self._counts.qsize()))

    def sentences(self) -> list[str]:
        """Return what a user should know since the last call."""
        return [self._sentences.get() for _ in range(self._sentences.qsize())]

    def stop(self) -> None:
        """Let all reads end at their next piece, and none begin; they raise InterruptedError."""
        self._waits.stop()

    def fill(self, name: str, start: int, left: memoryview) -> None:
        """Fill `left` with the bytes of a file from `start` on.

        Raises:
            CheckpointError: The server refuses them, has another file, or fails again and again.
        """
        wanted, failures, refusals = _Wanted(self._files[name], start, left), 0, 0
        while wanted.left:
            before = wanted.come
            try:
                self._ask(wanted)
            except (QuantizeError, InterruptedError):
                raise
            except Exception as error:
                failed = error if isinstance(error, _AttemptError) else self._failed(error)
                if wanted.come - before >= PROGRESS_BYTES:
                    failures = refusals = 0
                failures, refusals = failures + 1, refusals + failed.refused
                if failures >= MAX_FAILURES or refusals >= MAX_REFUSALS:
                    raise self._given_up(wanted, failures, failed) from error
                if wanted.come == before:
                    self._addresses.pop(name, None)
                if failed.wait is not None:
                    if self._waits.hold(failed.wait):
                        self._sentences.put(f"The server of {self._model_id} asks to wait {failed.wait:.0f} s.")
                else:
                    self._waits.after_failure(failures)
            finally:
                if wanted.come > before:
                    self._counts.put(wanted.come - before)

    def _ask(self, wanted: _Wanted) -> None:
        """Ask for all that is left once."""
        self._waits.before_request()
        deadline = self._waits.clock() + MAX_SECONDS
        address = self._address(wanted.file)
        headers = {**address.headers, "Range": f"bytes={wanted.start}-{wanted.stop - 1}"}
        # Where a server leads to yet another host, the client leaves the token out.
        options: dict[str, Any] = {"timeout": constants.HF_HUB_DOWNLOAD_TIMEOUT, "follow_redirects": True}
        with get_session().stream("GET", address.url, headers=headers, **options) as response:
            self._check_answer(wanted, response)
            for _ in wanted.take(response.iter_raw(_CHUNK_BYTES)):
                self._waits.check()
                if self._waits.clock() > deadline:
                    raise _AttemptError(f"it takes longer than {MAX_SECONDS:.0f} s")
        if wanted.left:
            raise _AttemptError("its answer ends too early")

    def _address(self, file: RemoteFile) -> _Address:
        with self._finding:  # one thread asks for all
            if file.name not in self._addresses:
                self._addresses[file.name] = self._found(file)
            return self._addresses[file.name]

    def _found(self, file: RemoteFile) -> _Address:
        """Ask the Hub where a file is, and check that it is still the same."""
        url = hf_hub_url(self._model_id, file.name, revision=self._commit)
        held = file_download.get_hf_file_metadata(url)
        if (
            held.commit_hash not in (None, self._commit)
            or held.size not in (None, file.size)
            or (file.sha256 is not None and held.etag is not None and held.etag != file.sha256)
        ):
            raise self._changed(file)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if urlsplit(held.location)[:2] != urlsplit(constants.ENDPOINT)[:2]:
            headers.pop("authorization", None)  # what stores the files must not see the token
        return _Address(held.location, headers)

    def _check_answer(self, wanted: _Wanted, response: Any) -> None:
        """Check that the body will be the bytes that were asked for."""
        status, headers = response.status_code, response.headers
        if status in _FOR_NOW or status >= 500:
            raise _AttemptError(f"HTTP {status}", wait=self._asked_wait(headers))
        if status not in (200, 206):
            raise _AttemptError(f"HTTP {status}", refused=True)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise _AttemptError("it compresses its answer", refused=True)
        if status == 200:  # tensors never begin where a file does
            raise CheckpointError(
                f"The server of {self._where(wanted.file)} does not send parts of a file; leave --stream out."
            )
        part = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        first, last, size = map(int, part.groups()) if part else (-1, -1, -1)
        if part and size != wanted.file.size:
            raise self._changed(wanted.file)
        if first != wanted.start or last >= wanted.stop:
            raise _AttemptError("it sends other bytes than it was asked for", refused=True)
        etag = headers.get("ETag")
        if etag is not None and self._etags.setdefault((wanted.file.name, response.url.host), etag) != etag:
            raise self._changed(wanted.file)

    def _asked_wait(self, headers: Any) -> float | None:
        """Return the seconds that a server asks to wait: by the usual header, or by the Hub's."""
        found = _SECONDS.fullmatch(headers.get("Retry-After", "").strip()) or _RATE_LIMIT.search(
            headers.get("RateLimit", "")
        )
        if found is None:
            return None
        seconds = float(found[found.lastindex or 0]) + 1  # they are rounded down
        if seconds > MAX_WAIT:
            raise CheckpointError(
                f"The server of {self._model_id} asks to wait {seconds - 1:,.0f} s; try again later, or set HF_TOKEN, "
                "because the Hub allows more requests to known accounts."
            ) from TimeoutError()  # a cause from outside: what is done of the run is kept
        return seconds

    def _failed(self, error: Exception) -> _AttemptError:
        """Return what an exception of the client's layers means; raise what asking again does not help against."""
        if isinstance(error, HfHubHTTPError):
            status = error.response.status_code
            if not (status in _FOR_NOW or status >= 500):
                with asking(self._model_id, self._commit):
                    raise error
            return _AttemptError(f"HTTP {status}", wait=self._asked_wait(error.response.headers))
        return _AttemptError(textwrap.shorten(str(error), 200) or type(error).__name__)

    def _given_up(self, wanted: _Wanted, failures: int, failed: _AttemptError) -> CheckpointError:
        return CheckpointError(
            f"The server of {self._where(wanted.file)} did not send its bytes {wanted.start:,} to {wanted.stop:,} in "
            f"{failures} attempts (the last: {failed}); try again later, or leave --stream out to download the model."
        )

    def _changed(self, file: RemoteFile) -> CheckpointError:
        return CheckpointError(
            f"{self._where(file)} is not the file any more whose header was read; run again when the server sends the "
            "same file each time."
        )

    def _where(self, file: RemoteFile) -> str:
        return f"{self._model_id}/{shown(file.name)[1:-1]}"
