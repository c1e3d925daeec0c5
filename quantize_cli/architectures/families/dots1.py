"""dots.llm1: norms of heads, shared experts, and dense first layers."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3 import EXPERT_ROWS
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    QK_NORM,
    QKV_BIAS,
    SHARED_EXPERT_FFN,
    dense_first,
    sparse_rest,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, product
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE

DOTS1 = Family(
    architecture="dots1",
    metadata=(
        *COMMON,
        *EXPERT_ROWS,
        U32("{arch}.leading_dense_block_count", "first_k_dense_replace"),
        U32("{arch}.expert_shared_count", "n_shared_experts"),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        *demands.SHARED_EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_weights_norm", ValueType.BOOL),
    ),
    vocabulary=BPE,
    parts=(
        *(ATTENTION, QK_NORM, FFN_NORM, FFN.among(dense_first)),
        *(part.among(sparse_rest) for part in (EXPERT_FFN, SHARED_EXPERT_FFN)),
    ),
    optional=(QKV_BIAS, Part(("exp_probs_b.bias",), sparse_rest)),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    sizes={"shared_experts": Named("n_shared_experts"), "shared_ffn": product("shared_experts", "expert_ffn")},
    foldings=foldings.USUAL,
)
