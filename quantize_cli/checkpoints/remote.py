"""What is asked of the Hub without a download: the list of a model's files, and the header of one of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not listed as exported
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.hub_cache import COMMIT
from quantize_cli.checkpoints.safetensors_header import read_tensors
from quantize_cli.checkpoints.sidecars import Json, parse_object
from quantize_cli.checkpoints.stream_waits import Waits
from quantize_cli.errors import CheckpointError, QuantizeError, shown

#: Bytes of the first request, which hold the whole header of most files.
FIRST_BYTES = 1 << 17
#: The longest answer to the question for a model's files; 10,000 files take some 4 MB.
_MAX_LISTING_BYTES = 64 << 20
#: Seconds that an answer may take as a whole, beside the client's own limit for each of its pieces.
_MAX_SECONDS = 120.0
#: How often a part of a file is asked for when the connection fails, and the waits in between.
MAX_ATTEMPTS = 5
WAITS = Waits()

_CHUNK_BYTES = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d{1,18})")
_CONTENT_LENGTH = re.compile(r"(\d{1,18})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class RemoteFile(NamedTuple):
    """A file of a repository."""

    name: str  #: with its folders, "1_Pooling/config.json"; not checked
    size: int | None  #: in bytes; None if the Hub does not tell
    sha256: str | None  #: known for large files only


class Listing(NamedTuple):
    """The files of one commit of a repository."""

    commit: str  #: 40 hexadecimal digits
    files: tuple[RemoteFile, ...]


def read_listing(model_id: str, revision: str) -> Listing:
    """Ask which files the repository has at a branch, tag or commit.

    Raises:
        CheckpointError: The answer is not a list of a model's files.
        Exception: Whatever `huggingface_hub` raises.
    """
    url = f"{constants.ENDPOINT}/api/models/{model_id}/revision/{quote(revision, safe='')}?blobs=true"
    # If the Hub cannot be reached, the cache may have the model: ask once.
    with _answer(url, {}, constants.HF_HUB_ETAG_TIMEOUT, retries=0) as (_, chunks):
        content = _first_bytes(chunks, _MAX_LISTING_BYTES + 1, url)
    try:
        if len(content) > _MAX_LISTING_BYTES:
            raise ValueError(f"it is longer than {_MAX_LISTING_BYTES >> 20} MiB")
        return _listing(parse_object(content))
    except ValueError as error:
        raise CheckpointError(
            f"{constants.ENDPOINT} does not list the files of {model_id} as the Hub does ({error}); check HF_ENDPOINT."
        ) from error


def _listing(answer: dict[str, Json]) -> Listing:
    """Check the Hub's answer; raise ValueError if it is not one."""
    commit, files = answer.get("sha"), answer.get("siblings")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise ValueError(f"its commit is {shown(commit)}")
    if not isinstance(files, list):
        raise ValueError(f"its files are {shown(files)}")
    return Listing(commit, tuple(map(_file, files)))


def _file(entry: Json) -> RemoteFile:
    held = entry if isinstance(entry, dict) else {}
    name, size, large = held.get("rfilename"), held.get("size"), held.get("lfs")
    sha256 = large.get("sha256") if isinstance(large, dict) else None
    if not isinstance(name, str) or not (size is None or (type(size) is int and size >= 0)):
        raise ValueError(f"one of its files is {shown(entry)}")
    known = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    return RemoteFile(name, size, sha256 if known else None)


def read_remote_header(model_id: str, commit: str, name: str) -> tuple[int, list[Located]]:
    """Read the header of one safetensors file of a repository; returns the file's size in bytes and its tensors.

    Raises:
        CheckpointError, UnsupportedError: See `safetensors_header.read_tensors`.
        Exception: Whatever `huggingface_hub` raises.
    """
    url = hf_hub_url(model_id, name, revision=commit)
    size, held = _request(url, 0, FIRST_BYTES)

    def read(start: int, stop: int) -> bytes:
        nonlocal held
        if stop > len(held):
            held += _request(url, len(held), stop)[1]
        return held[start:stop]

    return size, read_tensors(read, size, f"{model_id}/{name}")


def read_remote_bytes(model_id: str, commit: str, name: str, start: int, count: int) -> bytes:
    """Read a few bytes of one file of a repository.

    Raises:
        CheckpointError: The server does not send so many.
        Exception: Whatever `huggingface_hub` raises.
    """
    url = hf_hub_url(model_id, name, revision=commit)
    content = _request(url, start, start + count)[1] if count else b""
    if len(content) != count:
        raise CheckpointError(f"The server of {url} sends {len(content):,} of {count:,} bytes; try again later.")
    return content


def _request(url: str, start: int, stop: int) -> tuple[int, bytes]:
    """Return the size of a file and its bytes `start:stop`, or fewer if it ends before; ask again if that fails."""
    for failures in range(1, MAX_ATTEMPTS):
        try:
            return _request_once(url, start, stop)
        except (QuantizeError, HfHubHTTPError):
            raise
        except Exception:  # noqa: BLE001  # those of all layers of the client
            WAITS.after_failure(failures)
    return _request_once(url, start, stop)


def _request_once(url: str, start: int, stop: int) -> tuple[int, bytes]:
    """Ask once; where the server tells that others may be luckier, some times.

    A server that ignores ranges sends the file from its beginning; even then, reading stops at `stop`.
    """
    wanted = {"Range": f"bytes={start}-{stop - 1}"}
    with _answer(url, wanted, constants.HF_HUB_DOWNLOAD_TIMEOUT, retries=5) as (response, chunks):
        partial = response.status_code == 206
        name, pattern = ("Content-Range", _CONTENT_RANGE) if partial else ("Content-Length", _CONTENT_LENGTH)
        size = pattern.fullmatch(response.headers.get(name, ""))
        if size is None:
            raise CheckpointError(f"The server of {url} does not tell the size of the file; try again later.")
        skipped = 0 if partial else start
        body = _first_bytes(chunks, skipped + stop - start, url)
    return int(size[1]), body[skipped:]


@contextmanager
def _answer(
    url: str, headers: dict[str, str], timeout: float, *, retries: int
) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """Ask for `url`; gives the response and its body in chunks, as it was sent."""
    asked = {**build_hf_headers(), **headers, "Accept-Encoding": "identity"}
    # The client cannot ask again when a body is cut short, because it has handed the body out.
    options: dict[str, Any] = {"timeout": timeout, "max_retries": retries, "retry_on_exceptions": ()}
    with http_stream_backoff("GET", url, headers=asked, **options) as response:
        hf_raise_for_status(response)
        yield response, response.iter_raw(_CHUNK_BYTES)


def _first_bytes(chunks: Iterator[bytes], count: int, url: str) -> bytes:
    """Return the first `count` bytes, or fewer if the body ends before; it may be endless, or come by drops."""
    deadline = time.monotonic() + _MAX_SECONDS
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) >= count:
            break
        if time.monotonic() > deadline:
            raise CheckpointError(f"The server of {url} takes longer than {_MAX_SECONDS:.0f} s; try again later.")
    return bytes(body[:count])
