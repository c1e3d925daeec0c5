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

from quantize_cli.checkpoints.sidecars import Sidecars, parse_json, read_object
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.tokenizers.hf_classes import NAMED, OWN_TOKENS, PLAIN, QWEN2, class_of
from quantize_cli.tokenizers.json_values import mapping, sequence, token_id, token_text

TOKENIZER_JSON = "tokenizer.json"
_CONFIG = "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
_ADDED = "added_tokens.json"

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class HubTokenizer:
    """A tokenizer with its added tokens, and the texts of those that have a role."""

    backend: Tokenizer
    special_tokens: frozenset[str]
    bos: str | None
    adds_bos: bool  #: whether tokenizer_config.json asks for BOS
    origins: Mapping[str, str]  #: text of a token -> the files beside tokenizer.json that name it
    notes: tuple[str, ...]  #: sentences for the user about files that disagree


@dataclass(frozen=True)
class _Settings:
    """What the files beside tokenizer.json tell."""

    class_name: str
    values: Mapping[str, Any]  #: of tokenizer_config.json, over the class's own tokens
    declared: Mapping[int, AddedToken]  #: added tokens by id
    declared_by: Mapping[int, str]  #: id -> the file that gives it to a token
    origins: Mapping[str, str]


def load(content: bytes, shell: Mapping[str, Any], sidecars: Sidecars, hf_class: str | None) -> HubTokenizer:
    """Load tokenizer.json and add the tokens that the other files name.

    Args:
        content: tokenizer.json.
        shell: The same, parsed, without its vocabulary.
        sidecars: The files beside it.
        hf_class: The tokenizer class of transformers that the family fixes.

    Raises:
        CheckpointError: tokenizer.json is not a tokenizer, or another file is damaged.
    """
    settings = _settings(shell, sidecars, hf_class)
    if settings.class_name != PLAIN and (undeclared := _undeclared(shell, settings.declared)):
        content = _without(content, undeclared)
    try:
        backend = Tokenizer.from_buffer(content)
    except Exception as error:  # the package raises nothing more precise
        raise CheckpointError(
            f"{sidecars.where(TOKENIZER_JSON)} is not a tokenizer ({shown(str(error))}); download it again."
        ) from error
    backend.no_truncation()
    backend.no_padding()

    by_text = {token.content: token for token in settings.declared.values()}
    named = {key: by_text.get(token.content, token) for key, token in _named_tokens(settings.values)}
    extra = list(_extra_tokens(settings.values))

    new = [token for _, token in sorted(settings.declared.items())]
    present = {token.content for token in (*backend.get_added_tokens_decoder().values(), *new)}
    new += [token for token in (*named.values(), *extra) if token.content not in present]
    names = {token.content for token in named.values()}
    for token in new:
        token.special = token.special or token.content in names
    backend.add_tokens(new)
    special = frozenset(token.content for token in (*named.values(), *extra))
    if settings.class_name == QWEN2:
        backend.add_tokens([AddedToken(text, special=True) for text in special])
    return HubTokenizer(
        backend,
        special,
        bos=named["bos_token"].content if "bos_token" in named else None,
        adds_bos=bool(settings.values.get("add_bos_token")),
        origins=settings.origins,
        notes=tuple(_misplaced(backend, settings, sidecars)),
    )


def _misplaced(backend: Tokenizer, settings: _Settings, sidecars: Sidecars) -> Iterator[str]:
    """Report added tokens to which the files give another id than the tokenizer, as transformers sets it up."""
    placed = ((token.content, i, backend.token_to_id(token.content)) for i, token in settings.declared.items())
    odd = [(text, i, has) for text, i, has in placed if i != has]
    if odd:
        text, i, has = odd[0]
        new = backend.model.token_to_id(text) is None
        has_it = f"gets the id {has}, the next one" if new else f"has the id {has}"
        more = f" (and so on for {len(odd) - 1:,} more)" if len(odd) > 1 else ""
        yield (
            f"{settings.declared_by[i]} gives {shown(text)} the id {i}, but it {has_it} by the vocabulary of "
            f"{sidecars.where(TOKENIZER_JSON)}, which is used{more}; check that the files belong together."
        )


def _settings(shell: Mapping[str, Any], sidecars: Sidecars, hf_class: str | None) -> _Settings:
    """Read the files beside tokenizer.json; older checkpoints have special_tokens_map.json and added_tokens.json."""
    config = read_object(sidecars, _CONFIG)
    class_name = _class_name(shell, config, read_object(sidecars, "config.json"), hf_class)
    own = OWN_TOKENS.get(class_name, {})
    layers = {f"the class {class_name} of transformers": own, sidecars.where(_CONFIG): config}
    is_older = "added_tokens_decoder" not in config
    if is_older:
        layers[sidecars.where(_SPECIAL)] = read_object(sidecars, _SPECIAL)
    values = {key: value for layer in layers.values() for key, value in layer.items()}
    named = {where: {token.content for token in _all_tokens(layer)} for where, layer in layers.items()}
    if is_older:
        added = read_object(sidecars, _ADDED)
        declared, declared_by = _older_tokens(shell, values, added, sidecars)
        named[sidecars.where(_ADDED)] = set(added)
    else:
        declared = _declared_tokens(config, sidecars.where(_CONFIG))
        declared_by = dict.fromkeys(declared, sidecars.where(_CONFIG))
        named[sidecars.where(_CONFIG)] |= {token.content for token in declared.values()}
    origins: dict[str, list[str]] = {}
    for where, texts in named.items():
        for text in texts:
            origins.setdefault(text, []).append(where)
    return _Settings(
        class_name, values, declared, declared_by, {text: " and ".join(wheres) for text, wheres in origins.items()}
    )


def _class_name(
    shell: Mapping[str, Any], tokenizer_config: Mapping[str, Any], config: Mapping[str, Any], hf_class: str | None
) -> str:
    declared = tokenizer_config.get("tokenizer_class") or config.get("tokenizer_class")
    name = hf_class or class_of(config.get("model_type"), declared)
    # LLaMA 3 checkpoints declare a class whose unknown token and the like they do not have
    return PLAIN if name == "LlamaTokenizer" and _is_byte_level(shell) else name


def _is_byte_level(shell: Mapping[str, Any]) -> bool:
    """Tell whether tokenizer.json maps bytes to letters, as GPT-2 did, in any of its steps."""
    steps = [shell.get(key) for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    return '"ByteLevel"' in json.dumps(steps)


def _declared_tokens(config: Mapping[str, Any], where: str) -> dict[int, AddedToken]:
    """Return the added tokens of tokenizer_config.json by id."""
    declared = {}
    for key, entry in mapping(config["added_tokens_decoder"]).items():
        i = token_id(key, where)
        token_text(entry, i, where)
        declared[i] = _added_token(entry)
    return declared


def _older_tokens(
    shell: Mapping[str, Any], values: Mapping[str, Any], added: Mapping[str, Any], sidecars: Sidecars
) -> tuple[dict[int, AddedToken], dict[int, str]]:
    """Return added tokens by id, from `added`, which is added_tokens.json, and tokenizer.json; and ids' files."""
    special = {token.content for token in _all_tokens(values)}
    tokens = {
        token_id(i, sidecars.where(_ADDED)): AddedToken(text, normalized=text not in special, special=text in special)
        for text, i in added.items()
    }
    given_by = dict.fromkeys(tokens, sidecars.where(_ADDED))
    for entry in map(mapping, sequence(shell.get("added_tokens"))):
        if type(i := entry.get("id")) is int:  # the library refuses others
            tokens[i] = _added_token(entry)
            given_by[i] = sidecars.where(TOKENIZER_JSON)
    return tokens, given_by


def _undeclared(shell: Mapping[str, Any], declared: Mapping[int, AddedToken]) -> frozenset[str]:
    """Return the texts of added tokens that only tokenizer.json has.

    All classes except the plain one rebuild the tokenizer and take added tokens from tokenizer_config.json, if it has a
    list of them.
    """
    known = {token.content for token in declared.values()}
    added = (entry.get("content") for entry in map(mapping, sequence(shell.get("added_tokens"))))
    return frozenset(text for text in added if isinstance(text, str) and text not in known)


def _without(content: bytes, texts: Collection[str]) -> bytes:
    """Return tokenizer.json without some of its added tokens."""
    tokenizer = parse_json(content)
    kept = [entry for entry in sequence(tokenizer.get("added_tokens")) if mapping(entry).get("content") not in texts]
    return json.dumps({**tokenizer, "added_tokens": kept}).encode()


def _all_tokens(config: Mapping[str, Any]) -> Iterator[AddedToken]:
    yield from (token for _, token in _named_tokens(config))
    yield from _extra_tokens(config)


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
