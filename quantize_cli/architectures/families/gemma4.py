"""Gemma 4: wider heads in layers of full attention; some models have embeddings for each layer, some have experts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.demands import EXPERT_WIDTH, Demand
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.family import Part, rename
from quantize_cli.architectures.global_heads import (
    ROWS_OF_LAYERS,
    check_rows,
    ffn_widths,
    global_head,
    kv_heads,
    layers_with_values,
    own_layers,
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
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Sizes, product
from quantize_cli.architectures.sliding_layers import SLIDING_PATTERN
from quantize_cli.checkpoints.sidecars import read_object
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import GEMMA4 as GEMMA4_VOCABULARY

_ATTENTION = Part(("attn_norm.weight", "attn_q.weight", "attn_output.weight", "attn_q_norm.weight"))
_KEYS = Part(("attn_k.weight", "attn_k_norm.weight"))
_VALUES = Part(("attn_v.weight",))
_ROUTER = Part(("ffn_gate_inp.weight", "ffn_gate_inp.scale", "ffn_down_exps.scale"))
_EXPERTS = Part(("ffn_gate_up_exps.weight", "ffn_down_exps.weight"))
_EXPERT_NORMS = Part(("pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight"))


def _width(model: Model) -> int:
    return model.config.natural("hidden_size_per_layer_input") or 0


def _with_inputs(model: Model) -> Iterable[int]:
    return range(model.layers if _width(model) else 0)


def _with_experts(model: Model) -> Iterable[int]:
    return range(model.layers if model.config.flag("enable_moe_block") else 0)


def _rope_factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    """Return the divisors of frequencies, which stop the rotation of a part of each head."""
    rope, half = main_parameters(sizes.model.rope), global_head(sizes.model) // 2
    turning = min(int(2 * half * (rope.number("partial_rotary_factor") or 1.0) / 2), half)
    values = (1.0,) * turning + (1e30,) * (half - turning)
    return (TensorRecipe("rope_freqs.weight", (half,), (), values=values, stored_type="F32"),)


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
        *(U32(f"{{arch}}.attention.{name}_length", value=global_head) for name in ("key", "value")),
        *(U32(f"{{arch}}.attention.{name}_length_swa", "head_dim") for name in ("key", "value")),
        U32("{arch}.expert_feed_forward_length", "expert_intermediate_size", "moe_intermediate_size"),
        ARRAY(ValueType.INT32, "{arch}.feed_forward_length", value=ffn_widths),
        ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=kv_heads),
        U32("{arch}.rope.dimension_count", value=global_head),
        U32("{arch}.rope.dimension_count_swa", "head_dim"),
    ),
    demands=(
        *GEMMA3.demands,
        EXPERT_WIDTH,
        Demand("attention.shared_kv_layers"),
        Demand("attention.sliding_window_pattern", ValueType.BOOL, required=True, each_layer=True),
        *(
            Demand(key, required=True)
            for key in (
                "attention.sliding_window",
                "embedding_length_per_layer_input",
                "attention.key_length_swa",
                "attention.value_length_swa",
            )
        ),
    ),
    vocabulary=GEMMA4_VOCABULARY,
    parts=(
        _ATTENTION,
        _KEYS.among(own_layers),
        _VALUES.among(layers_with_values),
        FFN_NORM,
        FFN,
        Part(("post_attention_norm.weight", "post_ffw_norm.weight")),
        PER_LAYER_INPUT.among(_with_inputs),
        *(part.among(_with_experts) for part in (_ROUTER, _EXPERTS, _EXPERT_NORMS)),
    ),
    optional=(_KEYS, _VALUES, Part(("layer_output_scale.weight",))),
    optional_outside=("output.weight", *OUTSIDE),
    namings=(
        rename(r"layer_scalar$", "layer_scalar.weight"),
        rename(r"\.router\.scale$", ".router.proj.scale"),
        rename(r"\.router\.per_expert_scale$", ".experts.down_proj.scale"),
        rename(r"(\.experts\.(?:gate_up|down)_proj)$", r"\1.weight"),
    ),
    rules=GEMMA3.rules[:1],  # the cut of the embedding; norms are stored as they are
    sizes={
        **GEMMA3.sizes,
        **PER_LAYER_SIZES,
        "any": lambda _sizes: None,
        "expert_ffn": Named("expert_intermediate_size", "moe_intermediate_size"),
        "two": lambda _sizes: 2,
        "two_expert_ffn": product("two", "expert_ffn"),
    },
    shapes={
        **GEMMA3.shapes,
        **PER_LAYER_SHAPES,
        **ROWS_OF_LAYERS,
        "ffn_gate_up_exps.weight": ("experts", "two_expert_ffn", "hidden"),
        "ffn_gate_inp.scale": ("hidden",),
        "ffn_down_exps.scale": ("experts",),
        "layer_output_scale.weight": ("one",),
    },
    computed=_rope_factors,
    check=_check,
)


def _suppressed(model: Model) -> list[int] | None:
    if not model.sidecars.has("generation_config.json"):
        return None
    where = model.sidecars.where("generation_config.json")
    return Config(where, read_object(model.sidecars, "generation_config.json")).naturals("suppress_tokens")


GEMMA4_UNIFIED = replace(
    GEMMA4,
    metadata=(*GEMMA4.metadata, ARRAY(ValueType.INT32, "tokenizer.ggml.suppress_tokens", value=_suppressed)),
)
