"""gpt-oss: experts in MXFP4 whose gates and other projections alternate, biases everywhere, and attention sinks."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, Output, Part, Rule, rename
from quantize_cli.architectures.maps import Map, StridedColumns, Transpose
from quantize_cli.architectures.moves import Move, Strided
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, OUTPUT_BIAS, QKV_BIAS
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.tokenizers.vocabularies import BPE


def _transposed(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    if len(shape) < 2:
        raise ValueError("it is not a stack of matrices")
    return (Transpose(*shape[-2:]),)


def _half(number: int, kind: str) -> Output:
    """Return the gates (0) or the other projections (1) of a tensor of a kind."""

    def rows(_sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
        return (Strided(2, number),) if kind == "packed" else ()

    def columns(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
        chosen = StridedColumns(2, number)
        return {
            "packed": (),
            "bias": (chosen,),
            "transposed": (chosen, *_transposed(sizes, chosen.shape(shape))),
        }[kind]

    return Output(f"{('gate', 'up')[number]}_proj.{'bias' if kind == 'bias' else 'weight'}", rows, columns)


#: Tensors with `.weight` in their names are packed; others are of fine-tunes in 16 bits.
_RULES = (
    Rule(r"(?<=\.experts\.)gate_up_proj\.weight$", (_half(0, "packed"), _half(1, "packed"))),
    Rule(r"(?<=\.experts\.)gate_up_proj$", (_half(0, "transposed"), _half(1, "transposed"))),
    Rule(r"(?<=\.experts\.)gate_up_proj_bias$", (_half(0, "bias"), _half(1, "bias"))),
    Rule(r"(?<=\.experts\.)down_proj$", (Output("down_proj.weight", maps=_transposed),)),
)

GPT_OSS = Family(
    architecture="gpt-oss",
    metadata=(
        *COMMON,
        U32("{arch}.attention.sliding_window", value=lambda model: model.config.required("sliding_window")),
        U32("{arch}.expert_feed_forward_length", value=lambda model: model.config.required("intermediate_size")),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        demands.Demand("expert_feed_forward_length", required=True, each_layer=True),
        demands.Demand("attention.sliding_window", required=True),
    ),
    vocabulary=BPE,
    parts=(
        ATTENTION,
        QKV_BIAS,
        OUTPUT_BIAS,
        Part(("post_attention_norm.weight", "attn_sinks.weight")),
        EXPERT_FFN,
        Part(("ffn_gate_inp.bias", "ffn_gate_exps.bias", "ffn_up_exps.bias", "ffn_down_exps.bias")),
    ),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    namings=(rename(r"\.sinks$", ".sinks.weight"), rename(r"\.down_proj_bias$", ".down_proj.bias")),
    rules=_RULES,
    shapes={
        "attn_sinks.weight": ("heads",),
        "ffn_gate_inp.bias": ("experts",),
        "ffn_gate_exps.bias": ("experts", "expert_ffn"),
        "ffn_up_exps.bias": ("experts", "expert_ffn"),
        "ffn_down_exps.bias": ("experts", "hidden"),
    },
)
