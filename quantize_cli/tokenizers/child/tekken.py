"""tekken.json, Mistral's own tokenizer format: special tokens, ranks, and a config that tells how many count."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from quantize_cli.checkpoints.sidecars import Sidecars, read_object
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.byte_letters import letters_of
from quantize_cli.tokenizers.child.merges import all_merges, index_ranks
from quantize_cli.tokenizers.json_values import mapping

_MAX_TOKENS = 1 << 20
#: The special tokens of files that do not list them, which are those of the versions up to v7.
_FIRST_SPECIAL = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
    *("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
_UNLISTED = ("v1", "v2", "v3", "v7")
#: The special tokens that every text, or llama.cpp, needs.
_NEEDED = ("<unk>", "<s>", "</s>")


def tekken_facts(sidecars: Sidecars, name: str) -> dict[str, Any]:
    """Return facts for `rank_file.RankFile` from a tekken.json.

    Raises:
        CheckpointError: The file is damaged, or it is not such a file.
    """
    content = read_object(sidecars, name)
    try:
        config = _object(content, "config")
        size, count = _number(config, "default_vocab_size"), _number(config, "default_num_special_tokens")
        version = config.get("version")
        if not isinstance(version, str):
            raise ValueError(f"version is {shown(version)}, which must be a text such as 'v3'")
        special = _special(content, version, count)
        if size < count:
            raise ValueError(f"default_vocab_size is {size}, which is less than its {count} special tokens")
        by_rank = list(islice(_tokens(content), size - count))
        if count + len(by_rank) != size:
            raise ValueError(f"it has {count + len(by_rank)} tokens, but default_vocab_size is {size}")
        merges = list(all_merges(index_ranks(by_rank)))
    except ValueError as error:
        raise CheckpointError(
            f"{sidecars.where(name)} is not a tekken tokenizer ({error}); download it again."
        ) from error
    return {"special": special, "texts": [*map(letters_of, by_rank)], "merges": merges, "version": version}


def _object(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(value := content.get(key), dict):
        raise ValueError(f"{key} is {shown(value)}, which must be an object")
    return value


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(value := content.get(key), list):
        raise ValueError(f"{key} is {shown(value)}, which must be a list")
    return value


def _number(config: Mapping[str, Any], key: str) -> int:
    number = config.get(key)
    if type(number) is not int or not 0 < number <= _MAX_TOKENS:
        raise ValueError(f"{key} is {shown(number)}, which must be a whole number from 1 to {_MAX_TOKENS}")
    return number


def _special(content: Mapping[str, Any], version: str, count: int) -> list[str]:
    """Return the texts of the special tokens by id, the reserved ones among them."""
    texts: list[str] = []
    if content.get("special_tokens") is not None:
        for i, entry in enumerate(map(mapping, _list(content, "special_tokens"))):
            if not _has_rank(entry, i) or not isinstance(text := entry.get("token_str"), str):
                raise ValueError(f"the special token {i} does not have its rank and a text")
            texts.append(text)
    elif version in _UNLISTED:
        texts += _FIRST_SPECIAL
    else:
        raise ValueError(f"it does not list its special tokens, which version {shown(version)} must")
    if len(texts) > count:
        raise ValueError(f"it has {len(texts)} special tokens, but default_num_special_tokens is {count}")
    if missing := next((text for text in _NEEDED if text not in texts), None):
        raise ValueError(f"it does not have the special token {missing}")
    return texts + [f"<SPECIAL_{i}>" for i in range(len(texts), count)]


def _tokens(content: Mapping[str, Any]) -> Iterator[bytes]:
    for i, entry in enumerate(map(mapping, _list(content, "vocab"))):
        text = entry.get("token_bytes")
        try:
            if not _has_rank(entry, i) or not isinstance(text, str):
                raise ValueError
            yield base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"the token {i} does not have its rank and its bytes in base64") from error


def _has_rank(entry: Mapping[str, Any], i: int) -> bool:
    rank = entry.get("rank")
    return type(rank) is int and rank == i
