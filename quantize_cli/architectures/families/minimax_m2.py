"""MiniMax M2: biases on the choice of experts, and norms over all queries and all keys."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN_NORM, QK_NORM
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Named
from quantize_cli.tokenizers.vocabularies import BPE

EXPERT_BIAS = Part(("exp_probs_b.bias",))

MINIMAX_M2 = Family(
    architecture="minimax-m2",
    metadata=(
        *COMMON,
        U32("{arch}.expert_feed_forward_length", "intermediate_size"),
        U32("{arch}.rope.dimension_count", "rotary_dim"),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func"),
    ),
    vocabulary=BPE,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN, EXPERT_BIAS),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    sizes={"expert_ffn": Named("intermediate_size")},
    shapes={"attn_q_norm.weight": ("query",), "attn_k_norm.weight": ("key",)},
    foldings=foldings.USUAL,
)
