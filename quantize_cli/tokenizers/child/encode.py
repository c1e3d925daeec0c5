"""Token ids of texts and of conversations, by the library `tokenizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.tokenizers.child.hub import TOKENIZER_JSON, load
from quantize_cli.tokenizers.child.library import told
from quantize_cli.tokenizers.json_values import mapping, sequence


def encoded_streams(sidecars: Sidecars, shell: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids of each stream for `encoding.encode`, and how many of them stand for something unknown.

    A stream is a text, in which the texts of special tokens are plain text, or a list of conversations, in which the
    template spells them. No token is added to either.

    Raises:
        CheckpointError: The library refuses tokenizer.json, or the chat template fails.
    """
    where = sidecars.where(TOKENIZER_JSON)
    with told(where):
        backend = load(sidecars.read(TOKENIZER_JSON), shell, sidecars, asked["hf_class"]).backend
        unknown = _unknown(backend, mapping(shell.get("model")))
        ids, counts = [], []
        for stream in asked["streams"]:
            is_text = isinstance(stream, str)
            text = stream if is_text else _spelled(stream, asked)
            backend.encode_special_tokens = is_text
            found = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
            ids.append(found)
            # a template may spell the token itself, because it also ends texts in some vocabularies
            spelled = 0 if is_text or unknown is None else text.count(backend.id_to_token(unknown) or "\0")
            counts.append(0 if unknown is None else max(0, found.count(unknown) - spelled))
        return {"ids": ids, "unknown": counts}


def _spelled(conversations: list[list[dict[str, str]]], asked: Mapping[str, Any]) -> str:
    # few requests have conversations, and Jinja is not a requirement of the package
    from quantize_cli.tokenizers.child.chat import spelled

    template = asked["template"]
    return "".join(spelled(conversations, template["content"], template["names"], asked["model"]))


def _unknown(backend: Tokenizer, model: Mapping[str, Any]) -> int | None:
    """Return the id of the token that the model takes for what it does not know, if it has one."""
    text, i = model.get("unk_token"), model.get("unk_id")
    if isinstance(text, str):
        return backend.token_to_id(text)
    return i if type(i) is int and 0 <= i < len(sequence(model.get("vocab"))) else None
