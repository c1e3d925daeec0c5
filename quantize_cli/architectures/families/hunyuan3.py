"""Hunyuan 3: norms of heads, shared experts, dense first layers, and an MTP layer like the others."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON, GATING
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family, Part, rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, OWN_MTP_HEAD, appended_mtp_layers, stored_appended_layers
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    QK_NORM,
    QKV_BIAS,
    SHARED_EXPERT_FFN,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _dense(model: Model) -> list[int]:
    """Return the layers without experts: by their kinds, or those that config.json counts."""
    kinds = model.config.texts("mlp_layer_types")
    count = model.config.natural("first_k_dense_replace") or 0
    dense = range(count) if kinds is None else (number for number, kind in enumerate(kinds) if kind == "dense")
    return [number for number in dense if number < model.layers]


def _sparse(model: Model) -> list[int]:
    return sorted(set(range(model.layers)) - set(_dense(model)))


def _shared_ffn(model: Model) -> int:
    return model.config.required("moe_intermediate_size") * (model.config.integer("num_shared_experts") or 1)


def _scale(model: Model) -> float:
    scale = model.config.number("router_scaling_factor")
    return 1.0 if scale is None else scale


_LAYER = (ATTENTION, QK_NORM, FFN_NORM)
_EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("exp_probs_b",)))

HUNYUAN3 = Family(
    architecture="hy_v3",
    metadata=(
        *COMMON,
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_feed_forward_length", value=_shared_ffn),
        BOOL("{arch}.expert_weights_norm", "route_norm", value=True),
        F32("{arch}.expert_weights_scale", value=_scale),
        U32("{arch}.expert_gating_func", value=GATING["sigmoid"]),
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        demands.SHARED_EXPERT_WIDTH,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_weights_norm", ValueType.BOOL),
        Demand("expert_weights_scale", ValueType.FLOAT32, least=None),
    ),
    vocabulary=BPE,
    parts=(
        *(*_LAYER, FFN.among(_dense)),
        *(part.among(_sparse) for part in _EXPERTS),
        *(part.among(stored_appended_layers) for part in (*_LAYER, *_EXPERTS, MTP)),
    ),
    optional=(QKV_BIAS, OWN_MTP_HEAD.among(stored_appended_layers)),
    namings=(rename(r"(\.layers\.\d+)\.final_layernorm\.", r"\1.shared_head.norm."),),
    rules=STACKED_EXPERTS,
    sizes={"shared_ffn": lambda sizes: _shared_ffn(sizes.model)},
    shapes={"exp_probs_b": ("experts",)},
    extra_layers=appended_mtp_layers,
    foldings=foldings.USUAL,
)
