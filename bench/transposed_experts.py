"""The `quantize` command with a made-up family whose experts are stored transposed, as those of Llama 4 are.

    python bench/transposed_experts.py MODEL --format q4_k_m ...

MODEL is a checkpoint of generate_checkpoint.py whose size has transposed experts.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import cast

from generate_checkpoint import TRANSPOSED

from quantize_cli.architectures.families.qwen3 import QWEN3_MOE
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.family import Family, Output, Rule
from quantize_cli.architectures.maps import Columns, Map, Transpose
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.cli.app import main


def _half(number: int) -> Output:
    """Return the gates (0) or the other projections (1) of every expert."""

    def maps(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
        half = shape[-1] // 2
        return (Columns(2 * half, number * half, half), Transpose(shape[-2], half))

    return Output(("gate", "up")[number] + "_proj.weight", maps=maps)


def _transposed(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    return (Transpose(*shape[-2:]),)


#: `gate_up_proj` is [experts, hidden, 2 * expert_ffn], the gates' columns first in each row; `down_proj` is
#: [experts, expert_ffn, hidden].
FAMILY = replace(
    QWEN3_MOE,
    rules=(
        Rule(r"(?<=\.experts\.)gate_up_proj$", (_half(0), _half(1))),
        Rule(r"(?<=\.experts\.)down_proj$", (Output("down_proj.weight", maps=_transposed),)),
    ),
)

if __name__ == "__main__":
    cast("dict[str, Family]", FAMILIES)[TRANSPOSED] = FAMILY
    sys.exit(main())
