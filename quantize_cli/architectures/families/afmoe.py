"""AFM with experts (Trinity): gates of attention, norms on both sides of both halves, and shared experts."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Part, rename
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    POST_NORMS,
    QK_NORM,
    SHARED_EXPERT_FFN,
    layers_behind,
    leading_layers,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, product
from quantize_cli.gguf_file.fields import ValueType

AFMOE = replace(
    LLAMA,
    architecture="afmoe",
    metadata=(
        *LLAMA.metadata,
        U32("{arch}.expert_shared_count", "num_shared_experts"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.leading_dense_block_count", "num_dense_layers"),
        BOOL("{arch}.expert_weights_norm", "route_norm"),
        F32("{arch}.expert_weights_scale", "route_scale"),
        U32("{arch}.attention.sliding_window", "sliding_window"),
    ),
    demands=(
        *LLAMA.demands,
        *demands.EXPERTS,
        *demands.SHARED_EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_weights_norm", ValueType.BOOL),
    ),
    parts=(
        *(ATTENTION, Part(("attn_gate.weight",)), QK_NORM, FFN_NORM, POST_NORMS, FFN.among(leading_layers)),
        *(part.among(layers_behind) for part in (EXPERT_FFN, Part(("exp_probs_b.bias",)))),
    ),
    optional=(SHARED_EXPERT_FFN.among(layers_behind),),
    namings=(*LLAMA.namings, rename(r"\.expert_bias$", ".expert_bias.bias")),
    rules=STACKED_EXPERTS,
    sizes={"shared_experts": Named("num_shared_experts"), "shared_ffn": product("shared_experts", "expert_ffn")},
    shapes={"attn_gate.weight": ("query", "hidden")},
)
