"""tokenizer.json as the `transformers` library sets it up, without that library.

Nearly everything is in tokenizer.json. `transformers` (5.23, the reference converter's) also adds tokens that only
tokenizer_config.json and its older companions name, and its classes add their own special tokens. Some of its classes
then rebuild the normalizer and pre-tokenizer from scratch. This module keeps those of the file, which give the same
result wherever the reference converter knows it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer

from quantize_cli.checkpoints.sidecars import parse_json
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.hf_classes import NAMED, OWN_TOKENS, PLAIN, QWEN2, class_of
from quantize_cli.tokenizers.source import TOKENIZER_JSON, Source, mapping, sequence

_ID_DIGITS = 10  #: of 2**32, above which there are no token ids
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class HubTokenizer:
    """A tokenizer with its added tokens, and the texts of those that have a role."""

    backend: Tokenizer
    special_tokens: frozenset[str]
    bos: str | None


def load(source: Source) -> HubTokenizer:
    """Load tokenizer.json and add the tokens that the other files name.

    Raises:
        CheckpointError: tokenizer.json is not a tokenizer.
    """
    class_name = _class_name(source)
    config = _settings(source, class_name)
    declared = _declared_tokens(config, source)
    content = source.read(TOKENIZER_JSON)
    if class_name != PLAIN and (undeclared := _undeclared(source, declared)):
        content = _without(content, undeclared)
    try:
        backend = Tokenizer.from_buffer(content)
    except Exception as error:  # the package raises nothing more precise
        raise CheckpointError(
            f"{source.where(TOKENIZER_JSON)} is not a tokenizer ({shown(str(error))}); download it again."
        ) from error
    backend.no_truncation()
    backend.no_padding()

    by_text = {token.content: token for token in declared.values()}
    named = {key: by_text.get(token.content, token) for key, token in _named_tokens(config)}
    extra = list(_extra_tokens(config))

    new = [token for _, token in sorted(declared.items())]
    present = {token.content for token in (*backend.get_added_tokens_decoder().values(), *new)}
    new += [token for token in (*named.values(), *extra) if token.content not in present]
    names = {token.content for token in named.values()}
    for token in new:
        token.special = token.special or token.content in names
    backend.add_tokens(new)
    special = frozenset(token.content for token in (*named.values(), *extra))
    if class_name == QWEN2:
        backend.add_tokens([AddedToken(text, special=True) for text in special])
    return HubTokenizer(backend, special, bos=named["bos_token"].content if "bos_token" in named else None)


def _settings(source: Source, class_name: str) -> dict[str, Any]:
    """Merge tokenizer_config.json over the class's own tokens, with older checkpoints' special_tokens_map.json."""
    config = source.tokenizer_config
    if "added_tokens_decoder" not in config:
        config = {**config, **source.json("special_tokens_map.json")}
    return {**OWN_TOKENS.get(class_name, {}), **config}


def _class_name(source: Source) -> str:
    declared = source.tokenizer_config.get("tokenizer_class") or source.config.get("tokenizer_class")
    name = source.hf_class or class_of(source.config.get("model_type"), declared)
    # LLaMA 3 checkpoints declare a class whose unknown token and the like they do not have
    return PLAIN if name == "LlamaTokenizer" and _is_byte_level(source) else name


def _is_byte_level(source: Source) -> bool:
    """Tell whether tokenizer.json maps bytes to letters, as GPT-2 did, in any of its steps."""
    steps = [source.tokenizer.get(key) for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    return '"ByteLevel"' in json.dumps(steps)


def _declared_tokens(config: Mapping[str, Any], source: Source) -> dict[int, AddedToken]:
    """Return added tokens by id, from tokenizer_config.json or, in older checkpoints, from the files before it."""
    if "added_tokens_decoder" in config:
        entries = mapping(config["added_tokens_decoder"]).items()
        return {int(i): _added_token(entry) for i, entry in entries if _is_id(i) and isinstance(entry, dict)}
    special = {token.content for _, token in _named_tokens(config)} | {t.content for t in _extra_tokens(config)}
    tokens = {
        i: AddedToken(text, normalized=text not in special, special=text in special)
        for text, i in source.json("added_tokens.json").items()
        if isinstance(i, int)
    }
    for entry in map(mapping, sequence(source.tokenizer.get("added_tokens"))):
        if isinstance(i := entry.get("id"), int):
            tokens[i] = _added_token(entry)
    return tokens


def _undeclared(source: Source, declared: Mapping[int, AddedToken]) -> frozenset[str]:
    """Return the texts of added tokens that only tokenizer.json has.

    All classes except the plain one rebuild the tokenizer and take added tokens from tokenizer_config.json, if it has a
    list of them.
    """
    known = {token.content for token in declared.values()}
    added = (entry.get("content") for entry in map(mapping, sequence(source.tokenizer.get("added_tokens"))))
    return frozenset(text for text in added if isinstance(text, str) and text not in known)


def _without(content: bytes, texts: Collection[str]) -> bytes:
    """Return tokenizer.json without some of its added tokens."""
    tokenizer = parse_json(content)
    kept = [entry for entry in sequence(tokenizer.get("added_tokens")) if mapping(entry).get("content") not in texts]
    return json.dumps({**tokenizer, "added_tokens": kept}).encode()


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) <= _ID_DIGITS


def _named_tokens(config: Mapping[str, Any]) -> Iterator[tuple[str, AddedToken]]:
    """Yield the tokens with a role, first the usual ones, then those of the model."""
    own = [key for key in config if key.endswith("_token") and key not in NAMED]
    extra = mapping(config.get("extra_special_tokens"))
    for key, value in [*((key, config.get(key)) for key in (*NAMED, *own)), *extra.items()]:
        if isinstance(value, (str, dict)):
            yield key, _added_token(value)


def _extra_tokens(config: Mapping[str, Any]) -> Iterator[AddedToken]:
    """Yield special tokens without a role."""
    extra = sequence(config.get("extra_special_tokens"))
    for value in extra or sequence(config.get("additional_special_tokens")):
        if isinstance(value, (str, dict)):
            yield _added_token(value)


def _added_token(value: str | dict[str, Any]) -> AddedToken:
    if isinstance(value, str):
        return AddedToken(value, special=True)
    flags = {key: bool(value[key]) for key in _FLAGS if key in value}
    return AddedToken(str(value.get("content", "")), **flags)
