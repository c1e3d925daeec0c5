"""InternLM's SentencePiece vocabularies, which tell whether a text gets a space in front."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.kinds.phi3 import plain_tokens
from quantize_cli.tokenizers.kinds.sentencepiece import SENTENCEPIECE, disagreement, has_pieces, lay_out
from quantize_cli.tokenizers.sentencepiece_model import Piece, adds_space_prefix
from quantize_cli.tokenizers.source import TOKENIZER_MODEL, Source
from quantize_cli.tokenizers.token_types import TokenType

#: llama.cpp would hold a zero byte as an empty text.
_NUL, _FOR_NUL = "\0", "🐉"
_UNUSED = "[UNUSED"


def _read_2(source: Source) -> Tokens:
    pieces = [_as_held(piece) for piece in source.pieces]
    where = source.where(TOKENIZER_MODEL)
    tokens = lay_out(source, pieces, where, plain_tokens(source), disagreement(source))
    return replace(tokens, space_prefix=adds_space_prefix(source.sidecars.read(TOKENIZER_MODEL)))


def _as_held(piece: Piece) -> Piece:
    type_ = TokenType.UNUSED if piece.text.startswith(_UNUSED) else piece.type
    return Piece(_FOR_NUL if piece.text == _NUL else piece.text, piece.score, type_)


def _read_3(source: Source) -> Tokens:
    prefix = source.tokenizer_config.get("add_prefix_space")
    return replace(SENTENCEPIECE.read(source), space_prefix=prefix if isinstance(prefix, bool) else None)


INTERNLM2_PIECES = Kind(TOKENIZER_MODEL, has_pieces, _read_2)
INTERNLM3_PIECES = Kind(TOKENIZER_MODEL, has_pieces, _read_3)
