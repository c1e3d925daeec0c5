"""Byte-level BPE vocabularies (GPT-2, LLaMA 3, Qwen ...) from tokenizer.json."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import Tokenizer

from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.tokenizers import hf_json
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.recognise import Recognised, recognise
from quantize_cli.tokenizers.source import TOKENIZER_JSON, Source, mapping
from quantize_cli.tokenizers.token_types import BOUNDARY, TokenType, looks_like_control


def _applies(source: Source) -> bool:
    return source.has(TOKENIZER_JSON)


def _read(source: Source) -> Tokens:
    """Read the tokens, padded to `vocab_size`, and the merges."""
    model = mapping(source.tokenizer.get("model")).get("type")
    if model != "BPE":
        raise UnsupportedError(
            f"{source.where(TOKENIZER_JSON)} holds a tokenizer of the type {shown(model)}, but this family needs BPE; "
            "take another model."
        )
    tokenizer = hf_json.load(source)
    pre = Recognised(source.pre_tokenizer) if source.pre_tokenizer else recognise(tokenizer, source)
    tokens, types = _tokens(tokenizer.backend, source)
    cut = [token.content for i, token in tokenizer.backend.get_added_tokens_decoder().items() if i >= len(tokens)]
    return Tokens(
        "gpt2",
        pre.name,
        tokens,
        types,
        merges=_merges(source),
        id_limit=len(tokens) if cut else None,
        notes=(*pre.notes, *_left_out(sorted(cut), len(tokens))),
    )


def _left_out(cut: list[str], size: int) -> Iterator[str]:
    """Report added tokens without a row in the model, such as the image token of Gemma 3 1B.

    The reference refuses them.
    """
    if cut:
        yield (
            f"tokenizer.json has added tokens beyond vocab_size ({size}), which are left out because the model does "
            f"not have rows for them: {shown(cut)}."
        )


def _tokens(backend: Tokenizer, source: Source) -> tuple[list[str], list[TokenType]]:
    vocabulary = backend.get_vocab(with_added_tokens=True)
    decoder = backend.get_added_tokens_decoder()
    size = len(vocabulary) if source.vocab_size is None else source.vocab_size
    may_be_cut = {} if source.vocab_size is None else decoder
    beyond = next((token for token, i in vocabulary.items() if i >= size and i not in may_be_cut), None)
    if beyond is not None:
        raise CheckpointError(
            f"{source.where(TOKENIZER_JSON)} has the token {shown(beyond)} with the id {vocabulary[beyond]}, "
            f"but the vocabulary has only {size} tokens; the tokenizer files and config.json are of different models, "
            "so download them again."
        )
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [TokenType.UNUSED] * size
    for token, i in vocabulary.items():
        if i < size:
            tokens[i] = token
            types[i] = TokenType.NORMAL
    for i, added in decoder.items():
        if i >= size:
            continue
        token = added.content
        if not added.normalized:
            # llama.cpp takes the text of these tokens as already normalized
            token = backend.decode(backend.encode(token, add_special_tokens=False).ids, skip_special_tokens=False)
        if added.special or looks_like_control(token):
            types[i] = TokenType.CONTROL
        else:
            types[i] = TokenType.USER_DEFINED
            token = token.replace(BOUNDARY, " ")
        tokens[i] = token
    return tokens, types


def _merges(source: Source) -> tuple[str, ...]:
    """Return the merges of tokenizer.json, or else those of merges.txt."""
    if source.merges or not source.has("merges.txt"):
        return source.merges
    lines = source.text("merges.txt").splitlines()
    if lines and lines[0].startswith("#"):
        del lines[0]
    return tuple(" ".join(pair) for pair in map(str.split, lines) if len(pair) == 2)


BPE = Kind(TOKENIZER_JSON, _applies, _read, has_pre_tokenizer=True)
