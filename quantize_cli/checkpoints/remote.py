"""The header of a file on the Hub, read by HTTP range requests; no weight is transferred."""

from __future__ import annotations

import re

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not listed as exported
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from quantize_cli.checkpoints.files import Located
from quantize_cli.checkpoints.safetensors_header import read_tensors
from quantize_cli.errors import CheckpointError

#: Bytes of the first request, which hold the whole header of most files.
FIRST_BYTES = 1 << 17

_CHUNK_BYTES = 1 << 16
_CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d{1,18})")
_CONTENT_LENGTH = re.compile(r"(\d{1,18})")


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


def _request(url: str, start: int, stop: int) -> tuple[int, bytes]:
    """Return the size of a file and its bytes `start:stop`, or fewer if it ends before.

    A server that ignores ranges sends the file from its beginning; even then, reading stops at `stop`.
    """
    headers = {**build_hf_headers(), "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    with http_stream_backoff("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        hf_raise_for_status(response)
        partial = response.status_code == 206
        name, pattern = ("Content-Range", _CONTENT_RANGE) if partial else ("Content-Length", _CONTENT_LENGTH)
        size = pattern.fullmatch(response.headers.get(name, ""))
        if size is None:
            raise CheckpointError(f"The server of {url} does not tell the size of the file; try again later.")
        skipped = 0 if partial else start
        wanted = skipped + stop - start
        body = bytearray()
        for chunk in response.iter_raw(_CHUNK_BYTES):
            body += chunk
            if len(body) >= wanted:
                break
    return int(size[1]), bytes(body[skipped:wanted])
