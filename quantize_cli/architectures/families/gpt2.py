"""GPT-2: learned positions, fused queries, keys and values, and matrices that are stored transposed."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.family import Family, Output, Part, Rule, leave_out
from quantize_cli.architectures.maps import Map, Transpose
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import (
    ATTENTION_NORM_BIAS,
    FFN_NORM,
    FFN_NORM_BIAS,
    FUSED_ATTENTION,
    OUTPUT_BIAS,
    PLAIN_FFN,
    PLAIN_FFN_BIAS,
)
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Sizes, product
from quantize_cli.tokenizers.vocabularies import BPE

FUSED_QKV_BIAS = Part(("attn_qkv.bias",))


def _transposed(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    return (Transpose(*shape),)


def _four_hidden(model: Model) -> int:
    return 4 * model.config.required("n_embd")


GPT2 = Family(
    architecture="gpt2",
    metadata=(
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.context_length", "n_ctx", "n_positions"),
        U32("{arch}.embedding_length", "n_embd"),
        U32("{arch}.feed_forward_length", value=_four_hidden),
        U32("{arch}.attention.head_count", "n_head"),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS),
    vocabulary=BPE,
    parts=(
        *(FUSED_ATTENTION, ATTENTION_NORM_BIAS, FUSED_QKV_BIAS, OUTPUT_BIAS),
        *(FFN_NORM, FFN_NORM_BIAS, PLAIN_FFN, PLAIN_FFN_BIAS),
    ),
    outside=("token_embd.weight", "position_embd.weight", "output_norm.weight", "output_norm.bias"),
    namings=(leave_out(r"\.attn\.(masked_)?bias$"),),  # buffers of older files; the reference fails on them
    rules=(Rule(r"\.c_(attn|proj|fc)\.weight$", (Output(maps=_transposed),)),),
    sizes={
        "ffn": lambda sizes: _four_hidden(sizes.model),
        "three": lambda _sizes: 3,
        "qkv": product("three", "hidden"),
    },
    shapes={"attn_qkv.weight": ("qkv", "hidden"), "attn_qkv.bias": ("qkv",)},
    foldings=foldings.FUSED,
)
