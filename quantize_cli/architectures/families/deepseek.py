"""DeepSeek V2 and V3, Kimi K2, GLM-4.7-Flash: latent attention, shared experts, and dense first layers."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, leave_out_tied_head
from quantize_cli.architectures.latent_attention import (
    LATENT_ATTENTION,
    LATENT_DEMANDS,
    LATENT_QUERIES,
    LATENT_ROWS,
    LATENT_SIZES,
    SPLIT_KEYS_AND_VALUES,
)
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import (
    MTP,
    OWN_MTP_HEAD,
    appended_mtp_layers,
    leave_out_mtp,
    stored_appended_layers,
)
from quantize_cli.architectures.parts import EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN, dense_first, sparse_rest
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, product
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import DEEPSEEK as VOCABULARY
from quantize_cli.tokenizers.vocabularies import GLM as GLM_VOCABULARY


def _yarn_log_multiplier(model: Model) -> float | None:
    scale = model.rope.number("mscale_all_dim")
    return None if scale is None else 0.1 * scale


_EPSILON = F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", value=1e-6)
_EXPERTS = (EXPERT_FFN.among(sparse_rest), SHARED_EXPERT_FFN.among(sparse_rest))

DEEPSEEK2 = Family(
    architecture="deepseek2",
    metadata=(
        *(_EPSILON if row.key == _EPSILON.key else row for row in COMMON),
        U32("{arch}.attention.head_count_kv", value=1),
        U32("{arch}.leading_dense_block_count", value=lambda model: len(dense_first(model))),
        U32("{arch}.vocab_size", "vocab_size"),
        *LATENT_ROWS,
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size", "intermediate_size"),
        U32("{arch}.expert_count", "n_routed_experts"),
        U32("{arch}.expert_shared_count", "n_shared_experts", value=0),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", value=lambda model: model.config.flag("norm_topk_prob") or None),
        U32("{arch}.rope.dimension_count", "qk_rope_head_dim"),
        F32("{arch}.rope.scaling.yarn_log_multiplier", value=_yarn_log_multiplier),
    ),
    demands=(
        *demands.ATTENTION,
        demands.VOCABULARY,
        *LATENT_DEMANDS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_shared_count", required=True),
        Demand("leading_dense_block_count"),
        Demand("expert_weights_scale", ValueType.FLOAT32, least=None),
        Demand("expert_weights_norm", ValueType.BOOL),
        Demand("expert_gating_func"),
        Demand("rope.scaling.yarn_log_multiplier", ValueType.FLOAT32, least=None),
        Demand("attention.temperature_scale", ValueType.FLOAT32, least=None),
        Demand("attention.temperature_length"),
    ),
    vocabulary=VOCABULARY,
    parts=(LATENT_ATTENTION, FFN_NORM, FFN.among(dense_first), *_EXPERTS),
    optional=(LATENT_QUERIES, Part(("exp_probs_b.bias",), sparse_rest)),
    namings=(leave_out_mtp, leave_out_tied_head),
    rules=(SPLIT_KEYS_AND_VALUES,),
    sizes={
        **LATENT_SIZES,
        "expert_ffn": Named("moe_intermediate_size", "intermediate_size"),
        "shared_experts": Named("n_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
    },
    foldings=foldings.LATENT,
)

#: Parts of an MTP layer that follows the others, and what else it may have.
MTP_PARTS = tuple(
    part.among(stored_appended_layers) for part in (LATENT_ATTENTION, FFN_NORM, EXPERT_FFN, SHARED_EXPERT_FFN, MTP)
)
MTP_OPTIONAL = tuple(
    part.among(stored_appended_layers) for part in (LATENT_QUERIES, Part(("exp_probs_b.bias",)), OWN_MTP_HEAD)
)

GLM4_MOE_LITE = replace(
    DEEPSEEK2,
    metadata=(*DEEPSEEK2.metadata, U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None)),
    vocabulary=GLM_VOCABULARY,
    parts=(*DEEPSEEK2.parts, *MTP_PARTS),
    optional=(*DEEPSEEK2.optional, *MTP_OPTIONAL),
    namings=(leave_out_tied_head,),
    extra_layers=appended_mtp_layers,
)
