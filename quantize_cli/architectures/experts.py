"""Stacks of experts as newer checkpoints store them."""

from __future__ import annotations

from quantize_cli.architectures.family import Output, Rule
from quantize_cli.architectures.maps import Columns, Map, Transpose
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.sizes import Sizes


def half(number: int, name: str) -> Output:
    """Return the first (0) or second (1) half of each matrix's rows; `name` replaces the rule's pattern."""

    def moves(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
        if len(shape) < 2 or shape[-2] % 2:
            raise ValueError("it cannot be halved into gates and other projections")
        rows = shape[-2] // 2
        return (Rows(2 * rows, number * rows, rows),)

    return Output(name, moves)


#: `gate_up_proj`, [experts, 2 * expert_ffn, hidden], is the gates' rows and then the others' of each expert.
STACKED_EXPERTS = (
    Rule(r"(?<=\.experts\.)gate_up_proj(\.weight)?$", (half(0, "gate_proj.weight"), half(1, "up_proj.weight"))),
    Rule(r"(?<=\.experts\.)down_proj$", (Output("down_proj.weight"),)),
)


def _flipped(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    """Return the transposition of every expert."""
    if len(shape) != 3:
        raise ValueError("it is not a stack of matrices")
    return (Transpose(shape[1], shape[2]),)


def _flipped_half(number: int) -> Output:
    """Return the gates (0) or the other projections (1) of every expert, transposed."""

    def maps(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
        if len(shape) != 3 or shape[2] % 2:
            raise ValueError("it cannot be halved into gates and other projections")
        half = shape[2] // 2
        return (Columns(2 * half, number * half, half), Transpose(shape[1], half))

    return Output(("gate", "up")[number] + "_proj.weight", maps=maps)


#: `gate_up_proj`, [experts, hidden, 2 * expert_ffn], and `down_proj`, [experts, expert_ffn, hidden]: inputs before
#: outputs.
TRANSPOSED_EXPERTS = (
    Rule(r"(?<=\.experts\.)gate_up_proj(\.weight)?$", (_flipped_half(0), _flipped_half(1))),
    Rule(r"(?<=\.experts\.)down_proj$", (Output("down_proj.weight", maps=_flipped),)),
)
