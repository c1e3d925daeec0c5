"""Models of the Hugging Face Hub, kept in the cache of `huggingface_hub`.

HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE mean what they mean to that library.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from quantize_cli.checkpoints.safetensors import INDEX_NAME, read_index
from quantize_cli.errors import CheckpointError, UnsupportedError

#: Everything that is read beside the weights.
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "README.md",
    INDEX_NAME,
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    "modules.json",
    "*_Pooling/config.json",
)

#: What went wrong -> what to say; the first match counts, so a class stands above its base.
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
        "{model} has no revision {revision} at {endpoint}; give one of its branches, tags or commits.",
    ),
    (
        OfflineModeIsEnabled,
        "{model} is no folder here and not complete in the cache {cache}, and HF_HUB_OFFLINE forbids to download it; "
        "unset that or check the path.",
    ),
    (
        HfHubHTTPError,
        "{endpoint} refused {model} (HTTP {error.response.status_code}); "
        "check HF_TOKEN and what it may read, or try again later.",
    ),
    (
        Exception,
        "{model} is no folder here and could not be downloaded from {endpoint} to {cache} ({text}); "
        "check the path, the network and the room on the disk.",
    ),
)


def download(model_id: str, revision: str | None = None, *, progress: bool = False) -> Path:
    """Bring a model into the cache, as far as it is not there, and return its folder.

    The small files come first: a repository that cannot be converted costs no download of weights.

    Raises:
        CheckpointError: The model cannot be had, is not a model, or its index is damaged.
        UnsupportedError: It has no safetensors weights.
    """
    folder = _snapshot(model_id, revision, SMALL_FILES, progress=False)
    if not (folder / "config.json").exists():
        raise CheckpointError(
            f"{model_id} has no config.json at {constants.ENDPOINT}; give a model in Hugging Face layout."
        )
    index = folder / INDEX_NAME
    weights = tuple(sorted(set(read_index(index).values()))) if index.exists() else ("model*.safetensors",)
    commit = folder.name  # the same for both steps, even if the branch moves on between them
    folder = _snapshot(model_id, commit, weights, progress=progress)
    if not any(folder.glob("*.safetensors")):
        raise UnsupportedError(
            f"{model_id} has no model*.safetensors at {constants.ENDPOINT}; give a model that has its weights in them, "
            "not in .bin, .pth or .gguf."
        )
    return folder


class _NoBars(tqdm):  # type: ignore[misc]
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{**options, "disable": True})


def _snapshot(model_id: str, revision: str | None, patterns: tuple[str, ...], *, progress: bool) -> Path:
    try:
        folder = snapshot_download(
            model_id,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*.safetensors"],  # `*` matches a separator too
            tqdm_class=None if progress else _NoBars,
        )
    except Exception as error:  # whatever the client's layers raise (HTTP, TLS, xet, disk) means: there is no model
        raise CheckpointError(_sentence(error, model_id, revision)) from error
    return Path(folder)


def _sentence(error: Exception, model_id: str, revision: str | None) -> str:
    """The first match for the error's cause or itself: the library often says only that the cache did not help."""
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
