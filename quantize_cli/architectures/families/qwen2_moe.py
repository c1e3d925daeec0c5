"""Qwen 1.5 and 2 with experts: Qwen 2's attention, and a shared expert with a gate of its own."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3 import EXPERT_ROWS
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN_NORM, QKV_BIAS, SHARED_EXPERT_FFN
from quantize_cli.tokenizers.vocabularies import BPE

QWEN2_MOE = Family(
    architecture="qwen2moe",
    metadata=(*COMMON, *EXPERT_ROWS),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        demands.EXPERT_WIDTH,
        demands.Demand("expert_shared_feed_forward_length"),
    ),
    vocabulary=BPE,
    parts=(ATTENTION, FFN_NORM, EXPERT_FFN, SHARED_EXPERT_FFN, Part(("ffn_gate_inp_shexp.weight",))),
    optional=(QKV_BIAS,),
    # llama.cpp does not load a model of this architecture without an output matrix.
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    needed=("vocab", "hidden", "heads", "expert_ffn"),
    foldings=foldings.USUAL,
)
