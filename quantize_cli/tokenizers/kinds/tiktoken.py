"""tiktoken's ranks (Kimi, Hunyuan), without the code of the repository that reads them.

A file of ranks has the tokens that text is made of. What that code adds is a table here: the name of the pre-tokenizer
and the texts of special tokens that tokenizer_config.json does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import Cut, left_out
from quantize_cli.tokenizers.kinds.sentencepiece import declared_tokens
from quantize_cli.tokenizers.rank_file import read_ranks
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import TokenType, padding


@dataclass(frozen=True, slots=True)
class _Ranks:
    """A file of ranks, and what the code that belongs to it adds."""

    file: str
    pre: str  #: tokenizer.ggml.pre
    count: int  #: special tokens behind the ranks, at most
    names: Sequence[str]  #: of the first ones
    filler: str  #: text of the others, from their `id` and their `place` behind the named ones


_KIMI = _Ranks("tiktoken.model", "kimi-k2", 258, (), "<|reserved_token_{id}|>")
_HUNYUAN = _Ranks(
    "hy.tiktoken",
    "hunyuan",
    256,
    ("<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"),
    "<|extra_{place}|>",
)


def _applies(source: Source, ranks: _Ranks) -> bool:
    return source.has(ranks.file)


def _read(source: Source, ranks: _Ranks) -> Tokens:
    """Read the ranks, and behind them the special tokens, padded to the model's rows."""
    where = source.where(ranks.file)
    found = read_ranks(source.sidecars, ranks.file, "tiktoken")
    base = len(found.texts)
    size = base + ranks.count if source.size is None else source.size
    if size < base:
        raise CheckpointError(
            f"{where} has {base} tokens, but the model has {size} rows for them; take the tokenizer files that belong "
            "to the weights."
        )
    declared = {i: (text, file) for i, text, _, file in declared_tokens(source)}
    tokens, types = padding(size), [TokenType.UNUSED] * size
    tokens[:base], types[:base] = found.texts, [TokenType.NORMAL] * base
    for i in range(base, min(size, base + ranks.count)):
        tokens[i], types[i] = declared[i][0] if i in declared else _text(ranks, i, i - base), TokenType.CONTROL
    cut = [Cut(i, *declared[i]) for i in sorted(declared) if i >= size]
    return Tokens(
        "gpt2",
        source.pre_tokenizer or ranks.pre,
        tokens,
        types,
        merges=found.merges,
        id_limit=size if cut else None,
        origins={i: file for i, (_, file) in declared.items()},
        notes=tuple(left_out(cut, size)),
    )


def _text(ranks: _Ranks, i: int, place: int) -> str:
    named = len(ranks.names)
    return ranks.names[place] if place < named else ranks.filler.format(id=i, place=place - named)


KIMI_RANKS = Kind(_KIMI.file, partial(_applies, ranks=_KIMI), partial(_read, ranks=_KIMI), has_pre_tokenizer=True)
HUNYUAN_RANKS = Kind(
    _HUNYUAN.file, partial(_applies, ranks=_HUNYUAN), partial(_read, ranks=_HUNYUAN), has_pre_tokenizer=True
)
