"""Phi-2, Phi-3, Phi-4 and PhiMoE: rotation of a part of each head, and factors for long contexts."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, longrope
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
    PLAIN_FFN_BIAS,
    QKV_BIAS,
)
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Sizes, total
from quantize_cli.tokenizers.vocabularies import BPE
from quantize_cli.tokenizers.vocabularies import PHI3 as PHI3_VOCABULARY

_CONTEXT = ("n_positions", "max_position_embeddings")
_ENDS = ("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight", "output.bias")


def _rotated(model: Model) -> int:
    share = main_parameters(model.rope).number("partial_rotary_factor")
    hidden, heads = model.config.required(*HIDDEN), model.config.required(*HEADS)
    return int((1.0 if share is None else share) * hidden) // heads


def _four_hidden(model: Model) -> int:
    return 4 * model.config.required(*HIDDEN)


def _factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    return longrope.factor_tensors(sizes.model, _rotated(sizes.model))


PHI2 = Family(
    architecture="phi2",
    metadata=(
        U32("{arch}.context_length", *_CONTEXT),
        U32("{arch}.embedding_length", *HIDDEN),
        U32("{arch}.feed_forward_length", value=_four_hidden),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", "num_attention_heads", "n_head"),
        U32("{arch}.attention.head_count_kv", "num_attention_heads", "n_head"),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_epsilon", "layer_norm_eps"),
        U32("{arch}.rope.dimension_count", value=_rotated),
        BOOL("tokenizer.ggml.add_bos_token", value=False),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS),
    vocabulary=BPE,
    parts=(ATTENTION, ATTENTION_NORM_BIAS, QKV_BIAS, OUTPUT_BIAS, PLAIN_FFN, PLAIN_FFN_BIAS),
    outside=_ENDS,
    sizes={"ffn": lambda sizes: _four_hidden(sizes.model), "kv_heads": lambda sizes: sizes["heads"]},
    shapes={"output.bias": ("vocab",)},
)

PHI3 = Family(
    architecture="phi3",
    first_metadata=(F32("{arch}.rope.scaling.attn_factor", value=longrope.attention_factor),),
    metadata=(
        U32("{arch}.context_length", *_CONTEXT),
        U32("{arch}.rope.scaling.original_context_length", value=longrope.original_context),
        U32("{arch}.embedding_length", "hidden_size", "n_embd"),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", "num_attention_heads", "n_head"),
        U32("{arch}.attention.head_count_kv", "num_key_value_heads", "n_head_kv"),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        U32("{arch}.rope.dimension_count", value=_rotated),
        F32("{arch}.rope.freq_base", value=lambda model: main_parameters(model.rope).number("rope_theta")),
        U32("{arch}.attention.sliding_window", value=lambda model: model.config.natural("sliding_window") or 0),
    ),
    demands=(*demands.ATTENTION, demands.Demand("attention.sliding_window")),
    vocabulary=PHI3_VOCABULARY,
    parts=(FUSED_ATTENTION, FFN_NORM, PLAIN_FFN),
    computed=_factors,
    sizes={"qkv": total("query", "key", "value"), "two_ffn": total("ffn", "ffn")},
    shapes={"attn_qkv.weight": ("qkv", "hidden"), "ffn_up.weight": ("two_ffn", "hidden")},
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
    outside=_ENDS,
    shapes={"output.bias": ("vocab",)},
)
