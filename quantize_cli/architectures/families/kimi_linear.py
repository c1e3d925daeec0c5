"""Kimi Linear: three layers of delta attention for each layer of latent attention, and experts."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.delta_attention import (
    DELTA_ATTENTION,
    DELTA_DEMANDS,
    DELTA_ROWS,
    DELTA_RULES,
    DELTA_SHAPES,
    DELTA_SIZES,
    KV_HEADS_BY_LAYER,
    delta_layers,
    latent_layers,
)
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, move
from quantize_cli.architectures.latent_attention import (
    LATENT_ATTENTION,
    LATENT_DEMANDS,
    LATENT_QUERIES,
    LATENT_ROWS,
    LATENT_SIZES,
    SPLIT_KEYS_AND_VALUES,
)
from quantize_cli.architectures.moves import Reshaped
from quantize_cli.architectures.parts import EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN, dense_first, sparse_rest
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Named, product
from quantize_cli.tokenizers.vocabularies import KIMI_LINEAR as VOCABULARY

_Q_RANK, _KV_RANK, _KEYS, _, _MLA_KEYS, _MLA_VALUES = LATENT_ROWS

KIMI_LINEAR = Family(
    architecture="kimi-linear",
    metadata=(
        *COMMON,
        U32("{arch}.vocab_size", "vocab_size"),
        KV_HEADS_BY_LAYER,
        *DELTA_ROWS,
        *(_Q_RANK, _KV_RANK),
        U32("{arch}.rope.dimension_count", "qk_rope_head_dim"),
        *(_KEYS, _MLA_KEYS, _MLA_VALUES),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_count", "num_shared_experts"),
        U32("{arch}.leading_dense_block_count", "first_k_dense_replace"),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
    ),
    demands=(
        *demands.ATTENTION,
        demands.VOCABULARY,
        *LATENT_DEMANDS,
        *DELTA_DEMANDS,
        *(Demand(f"attention.{name}_length_mla", required=True, least=1) for name in ("key", "value")),
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func", required=True),
        *demands.SHARED_EXPERTS,
    ),
    vocabulary=VOCABULARY,
    parts=(
        Part(("attn_norm.weight",)),
        DELTA_ATTENTION.among(delta_layers),
        LATENT_ATTENTION.among(latent_layers),
        FFN_NORM,
        FFN.among(dense_first),
        *(part.among(sparse_rest) for part in (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("exp_probs_b.bias",)))),
    ),
    optional=(LATENT_QUERIES.among(latent_layers),),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=(
        *DELTA_RULES,
        move(r"\.A_log$", lambda sizes, _shape: (Reshaped((sizes.known("heads"), 1)),)),
        SPLIT_KEYS_AND_VALUES,
    ),
    sizes={
        **LATENT_SIZES,
        **DELTA_SIZES,
        "shared_experts": Named("num_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
        "expert_ffn": Named("moe_intermediate_size"),
    },
    shapes={**DELTA_SHAPES, "ssm_a": ("heads", "one")},
    foldings=(
        foldings.Folding("attn_norm", foldings.DELTA_ATTENTION),
        foldings.FFN_NORM,
        foldings.LATENT_VALUES,
        *foldings.UP,
    ),
)
