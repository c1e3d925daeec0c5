"""Mistral's own tokenizer format, tekken.json: special tokens first, then ranks, from which merges are derived."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.byte_letters import letters_of
from quantize_cli.tokenizers.chat_template import ChatTemplate, read_chat_template
from quantize_cli.tokenizers.json_values import mapping, sequence
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.ranks import all_merges, index_ranks
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.special_tokens import SpecialTokens
from quantize_cli.tokenizers.token_types import TokenType, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

TEKKEN_JSON = "tekken.json"

_MAX_TOKENS = 1 << 20
#: role -> text of its token, in the order of the keys.
_ROLES = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
#: The special tokens of files that do not list them, which are those of the versions up to v7.
_FIRST_SPECIAL = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
    *("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
_UNLISTED = ("v1", "v2", "v3", "v7")
#: version -> llama.cpp's name of the chat template that it has built in.
_BUILT_IN = {"v1": "mistral-v1", "v3": "mistral-v3-tekken", "v7": "mistral-v7-tekken"}


def _alone(source: Source) -> bool:
    return source.has(TEKKEN_JSON) and not source.has(TOKENIZER_JSON)


def _read(source: Source) -> Tokens:
    """Read the tokens, padded to the model's rows; the reference does not pad, and its file does not load then."""
    content, where = source.json(TEKKEN_JSON), source.where(TEKKEN_JSON)
    config = mapping(content.get("config"))
    try:
        special = _special(content, config)
        by_rank = list(islice(_tokens(content), _number(config, "default_vocab_size") - len(special)))
        if len(special) + len(by_rank) != config["default_vocab_size"]:
            raise ValueError("it has fewer tokens than its config tells")
        merges = tuple(all_merges(index_ranks(by_rank)))
    except ValueError as error:
        raise CheckpointError(f"{where} is not a tekken tokenizer ({error}); download it again.") from error
    known = len(special) + len(by_rank)
    size = source.size or known
    if size < known:
        raise CheckpointError(
            f"{where} has {known} tokens, but the model has {size} rows for them; take the tokenizer files that belong "
            "to the weights."
        )
    tokens, types = padding(size), [TokenType.UNUSED] * size
    tokens[:known] = *special, *map(letters_of, by_rank)
    types[:known] = [TokenType.CONTROL] * len(special) + [TokenType.NORMAL] * len(by_rank)
    template, notes = _chat_template(source, str(config.get("version")))
    ids = {role: special.index(text) for role, text in _ROLES.items() if text in special}
    return Tokens(
        "gpt2",
        source.pre_tokenizer or "tekken",
        tokens,
        types,
        [0] * size,
        merges,
        special=SpecialTokens(ids, {"bos": True, "eos": False}, {}, template),
        notes=notes,
    )


def _number(config: Mapping[str, Any], key: str) -> int:
    number = config.get(key)
    if type(number) is not int or not 0 < number <= _MAX_TOKENS:
        raise ValueError(f"{key} is {shown(number)}, which must be a whole number from 1 to {_MAX_TOKENS}")
    return number


def _special(content: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Return the texts of the special tokens by id, the reserved ones among them."""
    count = _number(config, "default_num_special_tokens")
    texts: list[str] = []
    if content.get("special_tokens") is None and config.get("version") in _UNLISTED:
        texts += _FIRST_SPECIAL
    for i, entry in enumerate(map(mapping, sequence(content.get("special_tokens")))):
        if entry.get("rank") != i or not isinstance(text := entry.get("token_str"), str):
            raise ValueError(f"the special token {i} does not have its rank and a text")
        texts.append(text)
    if len(texts) > count:
        raise ValueError(f"it lists {len(texts)} special tokens, but its config tells of {count}")
    return texts + [f"<SPECIAL_{i}>" for i in range(len(texts), count)]


def _tokens(content: Mapping[str, Any]) -> Iterator[bytes]:
    for i, entry in enumerate(map(mapping, sequence(content.get("vocab")))):
        text = entry.get("token_bytes")
        try:
            if entry.get("rank") != i or not isinstance(text, str):
                raise ValueError
            yield base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"the token {i} does not have its rank and its bytes in base64") from error


def _chat_template(source: Source, version: str) -> tuple[ChatTemplate | None, tuple[str, ...]]:
    """Return the chat template and a note; the reference takes that of newer versions from its own repository."""
    if version in _BUILT_IN:
        return _BUILT_IN[version], ()
    template = read_chat_template(source)
    if template is not None:
        return template, ()
    return None, (
        f"{source.where(TEKKEN_JSON)} does not have a chat template, and the one that llama.cpp's converter takes lies "
        "in llama.cpp's repository, so the model gets none; pass one to llama.cpp by --chat-template-file.",
    )


TEKKEN = Kind(TEKKEN_JSON, _alone, _read, has_pre_tokenizer=True)
