"""Phi-3, Phi-4 and PhiMoE: fused matrices, rotation of a part of each head, and factors for long contexts."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings, longrope
from quantize_cli.architectures.common import EXPERTS, EXPERTS_USED, HEADS, HIDDEN
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import (
    ATTENTION,
    ATTENTION_NORM_BIAS,
    EXPERT_FFN,
    FFN_NORM,
    FFN_NORM_BIAS,
    FUSED_ATTENTION,
    OUTPUT_BIAS,
    PLAIN_FFN,
    QKV_BIAS,
)
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Sizes, total
from quantize_cli.tokenizers.vocabularies import PHI3 as PHI3_VOCABULARY

#: Names in config.json, and tensors outside the layers, which Phi-2 has too.
CONTEXT = ("n_positions", "max_position_embeddings")
ENDS = ("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight", "output.bias")


def rotated(model: Model) -> int:
    """Return the rows of a head that are rotated."""
    share = main_parameters(model.rope).number("partial_rotary_factor")
    hidden, heads = model.config.required(*HIDDEN), model.config.required(*HEADS)
    return int((1.0 if share is None else share) * hidden) // heads


def _factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    return longrope.factor_tensors(sizes.model, rotated(sizes.model))


PHI3 = Family(
    architecture="phi3",
    of_tensors=(F32("{arch}.rope.scaling.attn_factor", value=longrope.attention_factor),),
    metadata=(
        U32("{arch}.context_length", *CONTEXT),
        U32("{arch}.rope.scaling.original_context_length", value=longrope.original_context),
        U32("{arch}.embedding_length", "hidden_size", "n_embd"),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", "num_attention_heads", "n_head"),
        U32("{arch}.attention.head_count_kv", "num_key_value_heads", "n_head_kv"),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        U32("{arch}.rope.dimension_count", value=rotated),
        F32("{arch}.rope.freq_base", value=lambda model: main_parameters(model.rope).number("rope_theta")),
        U32("{arch}.attention.sliding_window", value=lambda model: model.config.natural("sliding_window") or 0),
    ),
    demands=(*demands.ATTENTION, demands.Demand("attention.sliding_window")),
    vocabulary=PHI3_VOCABULARY,
    parts=(FUSED_ATTENTION, FFN_NORM, PLAIN_FFN),
    computed=_factors,
    sizes={"qkv": total("query", "key", "value"), "two_ffn": total("ffn", "ffn")},
    shapes={"attn_qkv.weight": ("qkv", "hidden"), "ffn_up.weight": ("two_ffn", "hidden")},
    foldings=(*foldings.FUSED, foldings.FUSED_UP),
)

PHIMOE = replace(
    PHI3,
    architecture="phimoe",
    metadata=(
        *PHI3.metadata,
        U32("{arch}.expert_used_count", *EXPERTS_USED[:2]),
        U32("{arch}.expert_count", *EXPERTS[:2]),
    ),
    demands=(*PHI3.demands, *demands.EXPERTS),
    parts=(ATTENTION, ATTENTION_NORM_BIAS, QKV_BIAS, OUTPUT_BIAS, FFN_NORM, FFN_NORM_BIAS, EXPERT_FFN),
    outside=ENDS,
    shapes={"output.bias": ("vocab",)},
    foldings=(),
)
