"""The `tokenizer.*` keys; no other module names them."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters, digits

from quantize_cli.gguf_file.fields import Field, ValueType, array, field
from quantize_cli.tokenizers.chat_template import ChatTemplate
from quantize_cli.tokenizers.json_values import mapping
from quantize_cli.tokenizers.kinds.base import Tokens
from quantize_cli.tokenizers.special_tokens import SpecialTokens

ADD_SPACE_PREFIX = "tokenizer.ggml.add_space_prefix"

#: role -> key of its token id; GGUF does not have keys for the other roles.
ID_KEYS = {
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "eot": "tokenizer.ggml.eot_token_id",
    "eom": "tokenizer.ggml.eom_token_id",
    "unk": "tokenizer.ggml.unknown_token_id",
    "sep": "tokenizer.ggml.seperator_token_id",
    "pad": "tokenizer.ggml.padding_token_id",
    "mask": "tokenizer.ggml.mask_token_id",
}
#: role -> key of whether encoding a text adds its token.
ADD_KEYS = {role: f"tokenizer.ggml.add_{role}_token" for role in ("bos", "eos", "sep")}

_CHAT_TEMPLATE = "tokenizer.chat_template"
_NAME_LETTERS = frozenset(ascii_letters + digits)


def token_fields(tokens: Tokens) -> Iterator[Field]:
    """Yield the keys of a vocabulary, in the reference converter's order."""
    yield from _kind_fields(tokens)
    yield from _list_fields(tokens)
    yield from _merge_fields(tokens)
    if tokens.space_prefix is not None:
        yield field(ADD_SPACE_PREFIX, ValueType.BOOL, tokens.space_prefix)


def special_fields(special: SpecialTokens) -> Iterator[Field]:
    """Yield the keys of special tokens and of the chat template, in the reference converter's order."""
    yield from _id_fields(special)
    yield from _behaviour_fields(special)


def mistral_fields(tokens: Tokens, special: SpecialTokens) -> Iterator[Field]:
    """Yield all keys of Mistral's own format; the reference converter writes the tokens after what is about them."""
    yield from _kind_fields(tokens)
    yield from _merge_fields(tokens)
    yield from _id_fields(special)
    yield from _list_fields(tokens)
    yield from _behaviour_fields(special)


def _kind_fields(tokens: Tokens) -> Iterator[Field]:
    yield field("tokenizer.ggml.model", ValueType.STRING, tokens.model)
    if tokens.pre is not None:
        yield field("tokenizer.ggml.pre", ValueType.STRING, tokens.pre)


def _list_fields(tokens: Tokens) -> Iterator[Field]:
    yield array("tokenizer.ggml.tokens", ValueType.STRING, tokens.tokens)
    if tokens.scores is not None:
        item = ValueType.FLOAT32 if isinstance(tokens.scores[0], float) else ValueType.INT32
        yield array("tokenizer.ggml.scores", item, tokens.scores)
    yield array("tokenizer.ggml.token_type", ValueType.INT32, map(int, tokens.types))


def _merge_fields(tokens: Tokens) -> Iterator[Field]:
    if tokens.merges:
        yield array("tokenizer.ggml.merges", ValueType.STRING, tokens.merges)


def _id_fields(special: SpecialTokens) -> Iterator[Field]:
    for role, token_id in special.ids.items():
        if role in ID_KEYS:
            yield field(ID_KEYS[role], ValueType.UINT32, token_id)


def _behaviour_fields(special: SpecialTokens) -> Iterator[Field]:
    for role, added in special.added.items():
        if role in ADD_KEYS:
            yield field(ADD_KEYS[role], ValueType.BOOL, added)
    yield from _template_fields(special.chat_template)
    for name, flag in special.normalizer.items():
        yield field(f"tokenizer.ggml.normalizer.{name}", ValueType.BOOL, flag)


def _template_fields(template: ChatTemplate | None) -> Iterator[Field]:
    """Yield one template, or a list of named ones in their order; in the reference that changes from run to run."""
    if isinstance(template, list):
        named = {}
        for choice in map(mapping, template):
            name = "".join(c if c in _NAME_LETTERS else "_" for c in str(choice.get("name", "")))
            if name and isinstance(text := choice.get("template"), str):
                named[name] = text
        template = named.pop("default", None)
        for name, text in named.items():
            yield field(f"{_CHAT_TEMPLATE}.{name}", ValueType.STRING, text)
        if named:
            yield array("tokenizer.chat_templates", ValueType.STRING, named)
    if template is not None:
        yield field(_CHAT_TEMPLATE, ValueType.STRING, template)
