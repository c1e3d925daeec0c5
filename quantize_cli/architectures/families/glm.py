"""GLM 4, GLM-OCR, and GLM 4.5 to 4.7 and Solar Open with experts: half of each head is rotated."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON, GATING
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, move
from quantize_cli.architectures.moves import Move, RotarySplit
from quantize_cli.architectures.mtp import MTP, OWN_MTP_HEAD, appended_mtp_layers, stored_appended_layers
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    PLAIN_FFN,
    POST_NORMS,
    QK_NORM,
    QKV_BIAS,
    SHARED_EXPERT_FFN,
    dense_first,
    sparse_rest,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, Sizes, product, rotated
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import GLM as VOCABULARY
from quantize_cli.tokenizers.vocabularies import GLM4 as GLM4_VOCABULARY
from quantize_cli.tokenizers.vocabularies import SOLAR_OPEN as SOLAR_VOCABULARY


def _halves(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    if "mrope_section" not in sizes.model.rope.values:
        return ()
    return (RotarySplit(sizes.known("head"), rotated(0.5)(sizes.model) or 0),)


_ROPE = U32("{arch}.rope.dimension_count", value=rotated(0.5))
_SECTIONS = Demand("rope.dimension_sections", ValueType.INT32, items=4)

GLM4 = Family(
    architecture="glm4",
    metadata=(*COMMON, _ROPE),
    demands=(*demands.ATTENTION, _SECTIONS),
    vocabulary=GLM4_VOCABULARY,
    parts=(ATTENTION, FFN_NORM, PLAIN_FFN, POST_NORMS),
    optional=(QKV_BIAS,),
    rules=(move(r"\.[qk]_proj\.(weight|bias)$", _halves),),  # llama.cpp's rope for images rotates halves
    sizes={"two_ffn": product("two", "ffn"), "two": lambda _sizes: 2},
    shapes={"ffn_up.weight": ("two_ffn", "hidden")},  # gates and others
    foldings=(*foldings.WITHOUT_GATE, foldings.FUSED_UP),
)

_OCR_MTP = (ATTENTION, FFN_NORM, PLAIN_FFN, POST_NORMS, MTP)

#: llama.cpp keeps the MTP layer and does not run it.
GLM_OCR = replace(
    GLM4,
    metadata=(*GLM4.metadata, U32("{arch}.nextn_predict_layers", "num_nextn_predict_layers")),
    parts=(*GLM4.parts, *(part.among(stored_appended_layers) for part in _OCR_MTP)),
    optional=(*GLM4.optional, *(part.among(stored_appended_layers) for part in (QKV_BIAS, OWN_MTP_HEAD))),
    extra_layers=appended_mtp_layers,
)

_LAYER = (ATTENTION, Part(("post_attention_norm.weight",)))
_EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("exp_probs_b.bias",)))

GLM4_MOE = Family(
    architecture="glm4moe",
    metadata=(
        *COMMON,
        _ROPE,
        U32("{arch}.expert_count", "n_routed_experts"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_count", "n_shared_experts"),
        U32("{arch}.leading_dense_block_count", "first_k_dense_replace"),
        U32("{arch}.expert_gating_func", value=GATING["sigmoid"]),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
        U32("{arch}.nextn_predict_layers", "num_nextn_predict_layers"),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        demands.EXPERT_WIDTH,
        _SECTIONS,
        Demand("expert_shared_count", required=True),
    ),
    vocabulary=VOCABULARY,
    parts=(
        *_LAYER,
        FFN.among(dense_first),
        *(part.among(sparse_rest) for part in _EXPERTS),
        *(part.among(stored_appended_layers) for part in (*_LAYER, *_EXPERTS, MTP)),
    ),
    optional=(
        *(QKV_BIAS, QK_NORM),
        *(part.among(stored_appended_layers) for part in (QKV_BIAS, QK_NORM, OWN_MTP_HEAD)),
    ),
    sizes={
        "expert_ffn": Named("moe_intermediate_size"),
        "shared_experts": Named("n_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
    },
    extra_layers=appended_mtp_layers,
    foldings=foldings.NAMED_BY_PLACE,
)

SOLAR_OPEN = replace(GLM4_MOE, vocabulary=SOLAR_VOCABULARY)
