"""BPE vocabularies with byte tokens from tokenizer.json, as their lost tokenizer.model would give them.

tokenizer.json has no scores, but its tokens lie in the order in which SentencePiece learned them, and there a piece's
score is minus its place in that order. The reference converter does not read the families of this kind without a
tokenizer.model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from quantize_cli.tokenizers.json_values import mapping
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.fit import cut_tokens
from quantize_cli.tokenizers.kinds.llama_bpe import BYTE, has_byte_tokens
from quantize_cli.tokenizers.kinds.phi3 import plain_tokens
from quantize_cli.tokenizers.kinds.sentencepiece import Added, added_tokens, lay_out
from quantize_cli.tokenizers.sentencepiece_model import Piece
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.token_types import BOUNDARY, PAD_SCORE, TokenType, looks_like_control, padding
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON

#: The score of spaces alone in Llama's and Mistral's tokenizer.model: they are joined last.
_RUN_SCORE = -1e9


def _read(source: Source, over: Callable[[Source], Iterable[Added]]) -> Tokens:
    cut_tokens(source, len(source.tokenizer_file.texts) if source.size is None else source.size)  # refuses odd ids
    added = [*_own_added(source), *over(source)]
    return lay_out(source, _pieces(source), source.where(TOKENIZER_JSON), added, source.tokenizer_file.notes)


def _pieces(source: Source) -> list[Piece]:
    """Return the tokens of the vocabulary by id, with a token without a use for each id that it lacks."""
    file = source.tokenizer_file
    unknown = mapping(file.shell.get("model")).get("unk_token")
    added = {token.text for token in file.added}
    control = file.special | {token.text for token in file.added if token.special}
    by_id = dict(file.tokens())
    pieces, learned = [], 0
    for i, pad in enumerate(padding(max(by_id, default=-1) + 1)):
        text = by_id.get(i)
        if text is None:
            pieces.append(Piece(pad, PAD_SCORE, TokenType.UNUSED))
        elif text == unknown:
            pieces.append(Piece(text, 0.0, TokenType.UNKNOWN))
        elif BYTE.fullmatch(text):
            pieces.append(Piece(text, 0.0, TokenType.BYTE))
        elif text in control:
            pieces.append(Piece(text, 0.0, TokenType.CONTROL))
        elif text in added:
            pieces.append(Piece(text, 0.0, TokenType.NORMAL))
        else:
            is_run = not text.strip(BOUNDARY)
            pieces.append(Piece(text, _RUN_SCORE if is_run else float(-learned), TokenType.NORMAL))
            learned += 1
    return pieces


def _own_added(source: Source) -> Iterator[Added]:
    """Yield the added tokens that the vocabulary lacks; tokenizer_config.json may leave some of them out."""
    file = source.tokenizer_file
    known = set(file.ids)
    for token in file.added:
        if token.id in known:
            continue
        where = token.origin or source.where(TOKENIZER_JSON)
        if token.special or looks_like_control(token.text):
            yield Added(token.id, token.text, TokenType.CONTROL, where)
        else:
            yield Added(token.id, token.text.replace(BOUNDARY, " "), TokenType.USER_DEFINED, where)


SCORED_BPE = Kind(TOKENIZER_JSON, has_byte_tokens, partial(_read, over=added_tokens))
SCORED_PHI3 = Kind(TOKENIZER_JSON, has_byte_tokens, partial(_read, over=plain_tokens))
