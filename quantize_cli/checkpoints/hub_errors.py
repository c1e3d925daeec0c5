"""The errors of the Hub's client, as sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from quantize_cli.errors import CheckpointError, QuantizeError

#: Class of the error -> the sentence; the first match wins, so a class comes before its base.
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (HFValidationError, "{model} is neither a folder here nor a valid Hub id; check the path."),
    (
        GatedRepoError,
        "{model} is gated; accept its terms at {endpoint}/{model} and set HF_TOKEN to a token of that account.",
    ),
    (
        RepositoryNotFoundError,
        "{model} is neither a folder here nor a model at {endpoint}; check the spelling, "
        "and set HF_TOKEN if the model is private.",
    ),
    (
        RevisionNotFoundError,
        "{model} does not have the revision {revision} at {endpoint}; give one of its branches, tags or commits.",
    ),
    (
        OfflineModeIsEnabled,
        "{model} is not a folder here and not complete in the cache {cache}, and HF_HUB_OFFLINE forbids a download; "
        "unset that variable, or check the path.",
    ),
    (
        HfHubHTTPError,
        "{endpoint} refused {model} (HTTP {error.response.status_code}); "
        "check HF_TOKEN and its permissions, or try again later.",
    ),
    (
        Exception,
        "{model} is not a folder here and could not be downloaded from {endpoint} to {cache} ({text}); "
        "check the path, the network and the room on the disk.",
    ),
)


@contextmanager
def asking(model_id: str, revision: str | None) -> Iterator[None]:
    """Turn any exception of the client's layers (HTTP, TLS, xet, disk) into a sentence about the model."""
    try:
        yield
    except QuantizeError:
        raise
    except Exception as error:
        raise CheckpointError(_sentence(error, model_id, revision)) from error


def _sentence(error: Exception, model_id: str, revision: str | None) -> str:
    """Return the sentence for the error or its cause, because often the error is only that the cache did not help."""
    chain = [link for link in (error.__cause__, error) if link is not None]
    template, first = next((text, link) for kind, text in _SENTENCES for link in chain if isinstance(link, kind))
    return template.format(
        model=model_id,
        revision=revision or constants.DEFAULT_REVISION,
        endpoint=constants.ENDPOINT,
        cache=constants.HF_HUB_CACHE,
        error=first,
        text=textwrap.shorten(str(first), 200) or type(first).__name__,
    )
