"""Ling 2 and Ring 2 (BailingMoeV2): fused attention with norms of heads, shared experts, and dense first layers."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family, Layers, Part, rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, OWN_MTP_HEAD
from quantize_cli.architectures.parts import (
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    FUSED_ATTENTION,
    QK_NORM,
    SHARED_EXPERT_FFN,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, product, rotated, total
from quantize_cli.tokenizers.vocabularies import BPE


def _extra(model: Model) -> int:
    return model.config.natural("num_nextn_predict_layers") or 0


def _all(model: Model) -> range:
    return range(model.blocks)


def _dense(model: Model) -> range:
    return range(min(model.config.natural("first_k_dense_replace") or 0, model.layers))


def _sparse(model: Model) -> range:
    return range(len(_dense(model)), model.blocks)


def _mtp(model: Model) -> range:
    return range(model.layers, model.blocks)


def _shared_ffn(model: Model) -> int:
    own = model.config.integer("moe_shared_expert_intermediate_size")
    return own or model.config.required("moe_intermediate_size") * model.config.required("num_shared_experts")


def _among(layers: Layers, *parts: Part) -> tuple[Part, ...]:
    return tuple(part.among(layers) for part in parts)


BAILING_MOE_2 = Family(
    architecture="bailingmoe2",
    metadata=(
        *COMMON,
        U32("{arch}.rope.dimension_count", value=rotated(0.5)),
        U32("{arch}.leading_dense_block_count", "first_k_dense_replace"),
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_feed_forward_length", value=_shared_ffn),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        U32("{arch}.expert_shared_count", "num_shared_experts"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
        U32("{arch}.nextn_predict_layers", "num_nextn_predict_layers"),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        demands.VOCABULARY,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func", required=True),
        *demands.SHARED_EXPERTS,
    ),
    vocabulary=BPE,
    parts=(
        *_among(_all, FUSED_ATTENTION, QK_NORM, FFN_NORM),
        FFN.among(_dense),
        *_among(_sparse, EXPERT_FFN, SHARED_EXPERT_FFN),
        *_among(_mtp, MTP, Part(("layer_output_norm.weight",))),
    ),
    optional=(Part(("exp_probs_b.bias",), _sparse), OWN_MTP_HEAD.among(_mtp)),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    namings=(rename(r"\.expert_bias$", ".expert_bias.bias"),),
    rules=STACKED_EXPERTS,
    sizes={
        "qkv": total("query", "key", "value"),
        "shared_experts": Named("num_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
    },
    shapes={"attn_qkv.weight": ("qkv", "hidden"), "layer_output_norm.weight": ("hidden",)},
    extra_layers=_extra,
)
