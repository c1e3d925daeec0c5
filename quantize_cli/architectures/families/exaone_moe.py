"""K-EXAONE: the keys of EXAONE 4, norms before both halves of a layer, shared experts, and a dense MTP layer."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.exaone4 import EXAONE4, EXAONE4_5
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, stored_mtp_layers
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import BOOL, F32, STR, U32
from quantize_cli.gguf_file.fields import ValueType


def _count(model: Model) -> int:
    return model.config.natural("first_k_dense_replace", "first_last_k_dense_replace") or 0


def _dense(model: Model) -> range:
    return range(min(_count(model), model.layers))


def _sparse(model: Model) -> range:
    return range(len(_dense(model)), model.layers)


def _shared_ffn(model: Model) -> int:
    return model.config.required("moe_intermediate_size") * model.config.required("num_shared_experts")


_LAYER = (ATTENTION, QK_NORM, FFN_NORM)

EXAONE_MOE = replace(
    EXAONE4_5,
    architecture="exaone-moe",
    metadata=(
        *EXAONE4.metadata,
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_count", "num_shared_experts"),
        U32("{arch}.expert_shared_feed_forward_length", value=_shared_ffn),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
        U32("{arch}.leading_dense_block_count", value=_count),
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers),
        STR("{arch}.rope.scaling.type", value="none"),
    ),
    demands=(
        *EXAONE4.demands,
        *demands.EXPERTS,
        *demands.SHARED_EXPERTS,
        Demand("attention.sliding_window", required=True),
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func", required=True),
        Demand("expert_weights_norm", ValueType.BOOL),
    ),
    parts=(
        *(*_LAYER, FFN.among(_dense)),
        *(part.among(_sparse) for part in (EXPERT_FFN, SHARED_EXPERT_FFN)),
        *(part.among(stored_mtp_layers) for part in (*_LAYER, FFN, MTP)),
    ),
    optional=(*EXAONE4_5.optional, Part(("exp_probs_b.bias",), _sparse)),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    sizes={"shared_ffn": lambda sizes: _shared_ffn(sizes.model)},
    foldings=foldings.USUAL,
)
