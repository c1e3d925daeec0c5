"""Mistral's own tokenizer format, tekken.json: special tokens first, then ranks, from which merges are derived."""

from __future__ import annotations

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.chat_template import ChatTemplate, read_chat_template
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.rank_file import read_ranks
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.special_tokens import SpecialTokens
from quantize_cli.tokenizers.token_types import TokenType, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

TEKKEN_JSON = "tekken.json"

#: role -> text of its token, in the order of the keys.
_ROLES = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
#: version -> llama.cpp's name of the chat template that it has built in.
_BUILT_IN = {"v1": "mistral-v1", "v3": "mistral-v3-tekken", "v7": "mistral-v7-tekken"}


def _alone(source: Source) -> bool:
    return source.has(TEKKEN_JSON) and not source.has(TOKENIZER_JSON)


def _read(source: Source) -> Tokens:
    """Read the tokens, padded to the model's rows; the reference does not pad, and its file does not load then."""
    where = source.where(TEKKEN_JSON)
    ranks = read_ranks(source.sidecars, TEKKEN_JSON, "tekken")
    texts = [*ranks.special, *ranks.texts]
    known = len(texts)
    size = source.size or known
    if size < known:
        raise CheckpointError(
            f"{where} has {known} tokens, but the model has {size} rows for them; take the tokenizer files that belong "
            "to the weights."
        )
    tokens, types = padding(size), [TokenType.UNUSED] * size
    tokens[:known] = texts
    types[:known] = [TokenType.CONTROL] * len(ranks.special) + [TokenType.NORMAL] * len(ranks.texts)
    template, notes = _chat_template(source, ranks.version)
    ids = {role: ranks.special.index(text) for role, text in _ROLES.items() if text in ranks.special}
    return Tokens(
        "gpt2",
        source.pre_tokenizer or "tekken",
        tokens,
        types,
        [0] * size,
        ranks.merges,
        special=SpecialTokens(ids, {"bos": True, "eos": False}, {}, template),
        notes=notes,
    )


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
