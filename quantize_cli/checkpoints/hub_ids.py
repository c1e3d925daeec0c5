"""A check of what `huggingface_hub` makes paths of, before it does.

The client names a snapshot's folder by the commit, and a file's content by the ETag that the endpoint answers with,
whatever they are: "../../x" would be written outside its cache. Importing this module wraps the one function that
receives both, for the rest of the process, because a download's thread may outlive the call that started it.
"""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import constants, file_download
from huggingface_hub.errors import HfHubHTTPError

from quantize_cli.checkpoints.hub_cache import COMMIT
from quantize_cli.errors import CheckpointError, shown

#: The SHA-1 of a file in Git, or the SHA-256 of a large file.
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_unchecked = file_download.get_hf_file_metadata


def _checked(*args: Any, **options: Any) -> file_download.HfFileMetadata:
    """Call `huggingface_hub.get_hf_file_metadata`, and check the ids in its answer."""
    try:
        metadata = _unchecked(*args, **options)
    except HfHubHTTPError as error:  # the client remembers for a commit that it lacks a file
        _check(error.response.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT), "commit", COMMIT)
        raise
    _check(metadata.commit_hash, "commit", COMMIT)
    _check(metadata.etag, "ETag", _ETAG)
    return metadata


def _check(value: str | None, what: str, pattern: re.Pattern[str]) -> None:
    if value is not None and not pattern.fullmatch(value):
        raise CheckpointError(
            f"{constants.ENDPOINT} answers with the {what} {shown(value)}, which is not one of the Hub's; check "
            "HF_ENDPOINT, and use a Hub you trust."
        )


file_download.get_hf_file_metadata = _checked
