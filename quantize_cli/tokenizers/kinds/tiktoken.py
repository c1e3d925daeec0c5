"""tiktoken's ranks (Kimi, Hunyuan), without the code of the repository that reads them.

A file of ranks has the tokens that text is made of. What that code adds is a table here: the name of the pre-tokenizer
and the texts of special tokens that tokenizer_config.json does not tell.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.byte_letters import letters_of
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import Cut, left_out
from quantize_cli.tokenizers.kinds.sentencepiece import declared_tokens
from quantize_cli.tokenizers.ranks import index_ranks, last_merges
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import TokenType, padding

_MAX_RANKS = 1 << 20


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
    try:
        by_rank = list(_tokens(source.sidecars.read(ranks.file)))
        indexed = index_ranks(by_rank)
    except ValueError as error:
        raise CheckpointError(f"{where} is not a file of tiktoken's ranks ({error}); download it again.") from error
    base = len(by_rank)
    size = base + ranks.count if source.size is None else source.size
    if size < base:
        raise CheckpointError(
            f"{where} has {base} tokens, but the model has {size} rows for them; take the tokenizer files that belong "
            "to the weights."
        )
    declared = {i: (text, file) for i, text, _, file in declared_tokens(source)}
    tokens, types = padding(size), [TokenType.UNUSED] * size
    tokens[:base], types[:base] = map(letters_of, by_rank), [TokenType.NORMAL] * base
    for i in range(base, min(size, base + ranks.count)):
        tokens[i], types[i] = declared[i][0] if i in declared else _text(ranks, i, i - base), TokenType.CONTROL
    cut = [Cut(i, *declared[i]) for i in sorted(declared) if i >= size]
    return Tokens(
        "gpt2",
        source.pre_tokenizer or ranks.pre,
        tokens,
        types,
        merges=tuple(last_merges(indexed)),
        id_limit=size if cut else None,
        origins={i: file for i, (_, file) in declared.items()},
        notes=tuple(left_out(cut, size)),
    )


def _text(ranks: _Ranks, i: int, place: int) -> str:
    named = len(ranks.names)
    return ranks.names[place] if place < named else ranks.filler.format(id=i, place=place - named)


def _tokens(content: bytes) -> Iterator[bytes]:
    """Yield the tokens of a file of ranks: each line has a token in base64, and its rank, which is its place."""
    rank = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        words = line.split()
        if not words:
            continue
        if rank == _MAX_RANKS:
            raise ValueError(f"it has more than {_MAX_RANKS:,} tokens")
        if len(words) != 2 or words[1] != b"%d" % rank:
            raise ValueError(f"line {number} is not a token with the rank {rank}")
        try:
            yield base64.b64decode(words[0], validate=True)
        except binascii.Error as error:
            raise ValueError(f"line {number} is not base64") from error
        rank += 1


KIMI_RANKS = Kind(_KIMI.file, partial(_applies, ranks=_KIMI), partial(_read, ranks=_KIMI), has_pre_tokenizer=True)
HUNYUAN_RANKS = Kind(
    _HUNYUAN.file, partial(_applies, ranks=_HUNYUAN), partial(_read, ranks=_HUNYUAN), has_pre_tokenizer=True
)
