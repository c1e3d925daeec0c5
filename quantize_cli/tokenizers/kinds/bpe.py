"""Byte-level BPE vocabularies (GPT-2, LLaMA 3, Qwen ...) from tokenizer.json."""

from __future__ import annotations

from quantize_cli.errors import UnsupportedError, shown
from quantize_cli.tokenizers.json_values import mapping
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import cut_tokens, left_out
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import BOUNDARY, TokenType, looks_like_control, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON, AddedToken


def _applies(source: Source) -> bool:
    return source.has(TOKENIZER_JSON)


def _read(source: Source) -> Tokens:
    """Read the tokens, padded to the model's rows, and the merges."""
    model = mapping(source.tokenizer_file.shell.get("model")).get("type")
    if model != "BPE":
        raise UnsupportedError(
            f"{source.where(TOKENIZER_JSON)} holds a tokenizer of the type {shown(model)}, but this family needs BPE; "
            "take another model."
        )
    pre, by, notes = _pre_tokenizer(source)
    file = source.tokenizer_file
    size = source.size or len({*file.texts, *(added.text for added in file.added)})
    cut = cut_tokens(source, size)
    tokens, types = padding(size), [TokenType.UNUSED] * size
    for i, token in file.tokens():
        if i < size:
            tokens[i], types[i] = token, TokenType.NORMAL
    for added in file.added:
        if added.id < size:
            tokens[added.id], types[added.id] = _as_added(added)
    return Tokens(
        "gpt2",
        pre,
        tokens,
        types,
        merges=merges_of(source),
        id_limit=size if cut else None,
        origins={added.id: added.origin for added in file.added if added.origin},
        notes=(*notes, *file.notes, *left_out(cut, size)),
        recognised_by=by,
    )


def _pre_tokenizer(source: Source) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the name of the pre-tokenizer, what told it unless the user chose it, and notes about it."""
    if source.pre_tokenizer:
        return source.pre_tokenizer, None, ()
    found = mapping(source.tokenizer_file.pre)
    if "refusal" in found:
        raise UnsupportedError(found["refusal"])
    return found["name"], found["by"], tuple(found["notes"])


def _as_added(added: AddedToken) -> tuple[str, TokenType]:
    if added.special or looks_like_control(added.plain):
        return added.plain, TokenType.CONTROL
    return added.plain.replace(BOUNDARY, " "), TokenType.USER_DEFINED


def merges_of(source: Source) -> tuple[str, ...]:
    """Return the merges of tokenizer.json, or else those of merges.txt."""
    if source.tokenizer_file.merges or not source.has("merges.txt"):
        return tuple(source.tokenizer_file.merges)
    lines = source.text("merges.txt").splitlines()
    if lines and lines[0].startswith("#"):
        del lines[0]
    return tuple(" ".join(pair) for pair in map(str.split, lines) if len(pair) == 2)


BPE = Kind(TOKENIZER_JSON, _applies, _read, has_pre_tokenizer=True)
