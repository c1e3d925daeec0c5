"""Qwen 3.5, dense and with experts: three layers of gated linear attention for each layer of full attention."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3 import EXPERT_ROWS
from quantize_cli.architectures.family import Family, Part, change
from quantize_cli.architectures.linear_attention import (
    LINEAR_ATTENTION,
    LINEAR_ROWS,
    LINEAR_RULES,
    LINEAR_SIZES,
    full_layers,
)
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, MTP_NAMINGS, OWN_MTP_HEAD, mtp_layers, stored_mtp_layers
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import product
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _sections(model: Model) -> list[int] | None:
    """Return the sections of rope that llama.cpp needs if config.json leaves them out."""
    return None if "mrope_section" in model.rope.values else [11, 11, 10, 0]


_POST_NORM = Part(("post_attention_norm.weight",))
_LAYERS = (LINEAR_ATTENTION, ATTENTION.among(full_layers), QK_NORM.among(full_layers), _POST_NORM)
_MTP_LAYERS = (ATTENTION, QK_NORM, _POST_NORM, MTP)
_EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("ffn_gate_inp_shexp.weight",)))

QWEN3_5 = Family(
    architecture="qwen35",
    metadata=(
        *COMMON,
        *EXPERT_ROWS,
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
        *LINEAR_ROWS,
        ARRAY(ValueType.INT32, "{arch}.rope.dimension_sections", value=_sections),
    ),
    demands=(*demands.ATTENTION, *demands.GATED_DELTA_NET),
    vocabulary=BPE,
    parts=(*_LAYERS, FFN, *(part.among(stored_mtp_layers) for part in (*_MTP_LAYERS, FFN))),
    optional=(OWN_MTP_HEAD.among(stored_mtp_layers),),
    namings=MTP_NAMINGS,
    rules=(*LINEAR_RULES, change(r"(?<!linear_attn\.)norm\.weight$", Add(1.0))),
    sizes={**LINEAR_SIZES, "query": product("heads", "head", "two")},  # queries and their gates
    extra_layers=mtp_layers,
)

QWEN3_5_MOE = replace(
    QWEN3_5,
    architecture="qwen35moe",
    parts=(*_LAYERS, *_EXPERTS, *(part.among(stored_mtp_layers) for part in (*_MTP_LAYERS, *_EXPERTS))),
    rules=(*QWEN3_5.rules, *STACKED_EXPERTS),
    demands=(
        *QWEN3_5.demands,
        *demands.EXPERTS,
        demands.EXPERT_WIDTH,
        demands.Demand("expert_shared_feed_forward_length"),
    ),
    needed=("vocab", "hidden", "heads", "expert_ffn"),
)
