"""Gemma 4: wider heads in layers of full attention; some models have embeddings for each layer, some have experts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quantize_cli.architectures import foldings
from quantize_cli.architectures.demands import EXPERT_WIDTH
from quantize_cli.architectures.experts_beside_ffn import (
    BESIDE_FFN,
    BESIDE_FFN_NAMINGS,
    BESIDE_FFN_SHAPES,
    BESIDE_FFN_SIZES,
)
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.family import Part, rename
from quantize_cli.architectures.global_heads import (
    GLOBAL_DEMANDS,
    GLOBAL_PARTS,
    GLOBAL_ROWS,
    KEYS,
    ROWS_OF_LAYERS,
    VALUES,
    check_rows,
    proportional_factors,
)
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import FFN, FFN_NORM
from quantize_cli.architectures.per_layer_embeddings import (
    OUTSIDE,
    PER_LAYER_INPUT,
    PER_LAYER_SHAPES,
    PER_LAYER_SIZES,
    check_outside,
)
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sliding_layers import SLIDING_PATTERN
from quantize_cli.tokenizers.vocabularies import GEMMA4 as GEMMA4_VOCABULARY


def _width(model: Model) -> int:
    return model.config.natural("hidden_size_per_layer_input") or 0


def _with_inputs(model: Model) -> Iterable[int]:
    return range(model.layers if _width(model) else 0)


def _with_experts(model: Model) -> Iterable[int]:
    return range(model.layers if model.config.flag("enable_moe_block") else 0)


def _check(model: Model) -> None:
    check_rows(model)
    if _width(model):
        check_outside(model)


GEMMA4 = replace(
    GEMMA3,
    architecture="gemma4",
    metadata=(
        *GEMMA3.metadata,
        U32("{arch}.attention.shared_kv_layers", "num_kv_shared_layers", value=0),
        U32("{arch}.embedding_length_per_layer_input", value=_width),
        SLIDING_PATTERN,
        *(U32(f"{{arch}}.attention.{name}_length_swa", "head_dim") for name in ("key", "value")),
        U32("{arch}.expert_feed_forward_length", "expert_intermediate_size", "moe_intermediate_size"),
        *GLOBAL_ROWS,
    ),
    demands=(*GEMMA3.demands, EXPERT_WIDTH, *GLOBAL_DEMANDS),
    vocabulary=GEMMA4_VOCABULARY,
    parts=(
        *GLOBAL_PARTS,
        FFN_NORM,
        FFN,
        Part(("post_attention_norm.weight", "post_ffw_norm.weight")),
        PER_LAYER_INPUT.among(_with_inputs),
        *(part.among(_with_experts) for part in BESIDE_FFN),
    ),
    optional=(KEYS, VALUES, Part(("layer_output_scale.weight",))),
    optional_outside=("output.weight", *OUTSIDE),
    namings=(
        rename(r"layer_scalar$", "layer_scalar.weight"),
        *BESIDE_FFN_NAMINGS,
    ),
    rules=GEMMA3.rules[:1],  # the cut of the embedding; norms are stored as they are
    sizes={
        **GEMMA3.sizes,
        **PER_LAYER_SIZES,
        "any": lambda _sizes: None,
        **BESIDE_FFN_SIZES,
    },
    shapes={
        **GEMMA3.shapes,
        **PER_LAYER_SHAPES,
        **ROWS_OF_LAYERS,
        **BESIDE_FFN_SHAPES,
        "layer_output_scale.weight": ("one",),
    },
    computed=proportional_factors,
    check=_check,
    foldings=(*foldings.NORMS, *foldings.UP),
)
