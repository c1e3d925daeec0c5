"""Special token ids, whether BOS and EOS are added, the normalizer's flags and the chat template.

They come from tokenizer.json, tokenizer_config.json, the chat template files and, for ids that are still missing,
config.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quantize_cli.tokenizers.chat_template import ChatTemplate, read_chat_template
from quantize_cli.tokenizers.json_values import mapping, sequence
from quantize_cli.tokenizers.post_processor import Roles
from quantize_cli.tokenizers.source import Source

_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_ID_LIMIT = 1 << 32  #: token ids are stored as uint32


@dataclass(frozen=True)
class SpecialTokens:
    """The facts of special tokens in the files; the order of the entries is the order of the keys."""

    ids: Mapping[str, int]  #: role -> token id
    added: Mapping[str, bool]  #: role -> whether encoding a text adds the token
    normalizer: Mapping[str, bool]  #: "lowercase", "strip_accents" -> whether the normalizer does it
    chat_template: ChatTemplate | None


def read_special_tokens(
    source: Source,
    *,
    roles: tuple[str, ...] = _ROLES,
    id_limit: int | None = None,
    otherwise: Mapping[str, int] | None = None,
) -> SpecialTokens:
    """Read all the files; leave out ids from `id_limit` on, and negative ids, which mean that a token is missing.

    Args:
        source: The checkpoint's files.
        roles: The roles to look for; a post-processor may add others.
        id_limit: Where the ids of the vocabulary end.
        otherwise: Ids of roles for which the files do not tell one.
    """
    found = Roles(source.tokenizer_config, roles)
    if source.tokenizer:
        found.read(mapping(source.tokenizer.get("post_processor")))
    ids: dict[str, int] = {}
    for role, token_id in (*_ids_by_text(found, source), *_ids_by_number(found, source), *(otherwise or {}).items()):
        if type(token_id) is int and 0 <= token_id < (id_limit or _ID_LIMIT):
            ids.setdefault(role, token_id)
    for role in found.types:
        if isinstance(flag := source.tokenizer_config.get(f"add_{role}_token"), bool):
            found.added.setdefault(role, flag)
    return SpecialTokens(
        ids,
        found.added,
        dict(_normalizer_flags(mapping(source.tokenizer.get("normalizer")))),
        read_chat_template(source) if source.tokenizer_config else None,
    )


def _ids_by_text(roles: Roles, source: Source) -> Iterator[tuple[str, Any]]:
    """Yield the ids of the tokens that tokenizer_config.json names."""
    if not source.tokenizer_config:
        return
    ids: dict[str, Any] = {}
    for added in map(mapping, sequence(source.tokenizer.get("added_tokens"))):
        ids.setdefault(str(added.get("content")), added.get("id"))
    for role in roles.types:
        entry = roles.config.get(f"{role}_token")
        text = mapping(entry).get("content", entry)
        if isinstance(text, str):
            yield role, ids.get(text)


def _ids_by_number(roles: Roles, source: Source) -> Iterator[tuple[str, Any]]:
    """Yield the ids in config.json, or in the part of it that describes the language model."""
    language = mapping(source.config.get("text_config"))
    for role in roles.types:
        key = f"{role}_token_id"
        token_id = source.config.get(key)
        yield role, language.get(key) if token_id is None else token_id


def _normalizer_flags(normalizer: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    steps = [normalizer]
    while steps:
        step = mapping(steps.pop())
        match step.get("type"):
            case "Lowercase":
                yield "lowercase", True
            case "StripAccents":
                yield "strip_accents", True
            case "BertNormalizer":
                for name in ("lowercase", "strip_accents"):
                    if isinstance(flag := step.get(name), bool):
                        yield name, flag
            case "Sequence":
                steps += reversed(sequence(step.get("normalizers")))
