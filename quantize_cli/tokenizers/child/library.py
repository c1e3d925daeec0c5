"""Facts of a tokenizer.json that only the library `tokenizers` can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tokenizers import AddedToken

from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, shown
from quantize_cli.tokenizers.child.hub import TOKENIZER_JSON, HubTokenizer, load
from quantize_cli.tokenizers.child.recognise import recognise
from quantize_cli.tokenizers.json_values import mapping, sequence


def library_facts(
    sidecars: Sidecars,
    shell: Mapping[str, Any],
    vocabulary: Collection[str],
    *,
    hf_class: str | None,
    recognised: bool,
) -> dict[str, Any]:
    """Return facts for `tokenizer_file.TokenizerFile`.

    Args:
        sidecars: tokenizer.json and the files beside it.
        shell: tokenizer.json without its vocabulary and merges.
        vocabulary: The texts of its tokens, without added ones.
        hf_class: The tokenizer class of transformers that the family fixes.
        recognised: Whether to recognise the pre-tokenizer.

    Raises:
        CheckpointError: The library refuses the file, or fails.
    """
    where = sidecars.where(TOKENIZER_JSON)
    with told(where):
        hub = load(sidecars.read(TOKENIZER_JSON), shell, sidecars, hf_class)
        return {
            "added": _added(hub, shell, vocabulary),
            "special": sorted(hub.special_tokens),
            "pre": _recognised(hub, shell, vocabulary, where) if recognised else None,
            "notes": hub.notes,
        }


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn whatever the library raises about the file at `where` into a sentence."""
    try:
        yield
    except (QuantizeError, MemoryError):
        raise
    except BaseException as error:  # a panic of the library is not an Exception
        raise CheckpointError(
            f"{where} fails in the library that reads it ({shown(str(error))}); download it again."
        ) from error


def _added(hub: HubTokenizer, shell: Mapping[str, Any], vocabulary: Collection[str]) -> list[Any]:
    """Return the added tokens as lists of what `tokenizer_file.AddedToken` holds."""
    own = {mapping(entry).get("content") for entry in sequence(shell.get("added_tokens"))}
    rows = []
    for i, token in sorted(hub.backend.get_added_tokens_decoder().items()):
        text = token.content
        origin = None if text in own or text in vocabulary else hub.origins.get(text)
        rows.append([i, text, _plain(hub, token), token.special, origin])
    return rows


def _plain(hub: HubTokenizer, token: AddedToken) -> str:
    """Return an added token's text as llama.cpp wants it, which takes it as already normalized."""
    if token.normalized:
        return str(token.content)
    ids = hub.backend.encode(token.content, add_special_tokens=False).ids
    return str(hub.backend.decode(ids, skip_special_tokens=False))


def _recognised(hub: HubTokenizer, shell: Mapping[str, Any], vocabulary: Collection[str], where: str) -> dict[str, Any]:
    """Return name and notes of the pre-tokenizer and what told it, or why it is unknown, which some kinds ask for."""
    try:
        found = recognise(hub, shell, vocabulary, where)
    except UnsupportedError as error:
        return {"refusal": str(error)}
    return {"name": found.name, "by": found.by, "notes": found.notes}
