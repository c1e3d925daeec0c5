"""InternLM 2 and 2.5: Llama's decoder with queries, keys and values fused by group."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, Moves, Output, Rule
from quantize_cli.architectures.moves import Gathered, Move, RotaryInterleave, Rows
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.tokenizers.vocabularies import INTERNLM2 as VOCABULARY


def _of_kind(number: int) -> Moves:
    """Return the moves to queries (0), keys (1) or values (2); the first two in ggml's order for rotation."""

    def moves(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
        heads, groups, head = sizes.known("heads"), sizes.known("kv_heads"), sizes.known("head")
        counts = (heads, groups, groups)
        chosen = Rows(shape[0], sum(counts[:number]) * head, counts[number] * head)
        rotated = (RotaryInterleave(head),) if number < 2 else ()
        return (Gathered(groups, (heads // groups * head, head, head)), chosen, *rotated)

    return moves


INTERNLM2 = Family(
    architecture="internlm2",
    metadata=COMMON,
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, FFN_NORM, FFN),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=(
        Rule(
            r"attention\.wqkv\.weight$",
            tuple(Output(f"attention.w{kind}.weight", _of_kind(number)) for number, kind in enumerate("qkv")),
        ),
    ),
)
