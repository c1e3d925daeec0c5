"""Qwen3-Next: mostly linear attention, with projections that are interleaved by key head, and experts."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3 import EXPERT_ROWS
from quantize_cli.architectures.family import Family, Output, Part, Rule
from quantize_cli.architectures.linear_attention import (
    DELTA_NET,
    DELTA_NET_RULES,
    LINEAR_ROWS,
    LINEAR_SIZES,
    full_layers,
    interleaved_part,
    linear_layers,
)
from quantize_cli.architectures.mtp import MTP, MTP_NAMINGS, OWN_MTP_HEAD, mtp_layers, stored_mtp_layers
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import U32
from quantize_cli.tokenizers.vocabularies import BPE

_POST_NORM = Part(("post_attention_norm.weight",))
MIXERS = (
    Part(("attn_norm.weight",), linear_layers),
    DELTA_NET,
    ATTENTION.among(full_layers),
    QK_NORM.among(full_layers),
    _POST_NORM,
)
MTP_LAYERS = tuple(part.among(stored_mtp_layers) for part in (ATTENTION, QK_NORM, _POST_NORM, MTP))
EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("ffn_gate_inp_shexp.weight",)))
MTP_EXPERTS = tuple(part.among(stored_mtp_layers) for part in EXPERTS)

QWEN3_NEXT = Family(
    architecture="qwen3next",
    metadata=(
        *COMMON,
        *EXPERT_ROWS,
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
        *LINEAR_ROWS,
    ),
    demands=(
        *demands.ATTENTION,
        *demands.GATED_DELTA_NET,
        *demands.EXPERTS,
        demands.EXPERT_WIDTH,
        demands.SHARED_EXPERT_WIDTH,
    ),
    vocabulary=BPE,
    parts=(*MIXERS, Part(("ssm_ba.weight",), linear_layers), *EXPERTS, *MTP_LAYERS, *MTP_EXPERTS),
    optional=(OWN_MTP_HEAD.among(stored_mtp_layers),),
    namings=MTP_NAMINGS,
    rules=(
        *DELTA_NET_RULES,
        Rule(
            r"in_proj_qkvz\.weight$",
            (Output("in_proj_qkv.weight", interleaved_part("qkv")), Output("in_proj_z.weight", interleaved_part("z"))),
        ),
        *STACKED_EXPERTS,
    ),
    sizes=LINEAR_SIZES,
    extra_layers=mtp_layers,
    needed=("vocab", "hidden", "heads", "expert_ffn"),
    foldings=foldings.LINEAR,
)
