"""Baichuan 1 and 2: Llama's decoder whose queries, keys and values are one matrix."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, Moves, Output, Rule
from quantize_cli.architectures.moves import Move, RotaryInterleave, Rows
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM
from quantize_cli.architectures.rows import STR, U32
from quantize_cli.architectures.sizes import Sizes, head_size
from quantize_cli.tokenizers.vocabularies import BAICHUAN as VOCABULARY


def _third(number: int) -> Moves:
    """Return the rows of queries (0), keys (1) or values (2); the first two in ggml's order for rotation."""

    def moves(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
        third = shape[0] // 3
        rotated = (RotaryInterleave(sizes.known("head")),) if number < 2 else ()
        return (Rows(shape[0], number * third, third), *rotated)

    return moves


#: The reference ends in an endless recursion; this is what it means to write.
BAICHUAN = Family(
    architecture="baichuan",
    metadata=(
        *COMMON,
        STR("{arch}.tensor_data_layout", value="Meta AI original pth"),
        U32("{arch}.rope.dimension_count", value=head_size),
    ),
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, FFN_NORM, FFN),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=(Rule(r"W_pack\.weight$", tuple(Output(f"{k}_proj.weight", _third(n)) for n, k in enumerate("qkv"))),),
)
