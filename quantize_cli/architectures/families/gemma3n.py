"""Gemma 3n: four streams of states (AltUp), a low-rank path beside attention (LAuReL), embeddings for each layer."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.altup import (
    ALTUP,
    ALTUP_OUTSIDE,
    ALTUP_SHAPES,
    ALTUP_SIZES,
    ALTUP_STACK,
    LAUREL,
    normal_quantile,
    refuse_other_sizes,
)
from quantize_cli.architectures.common import FFN as FFN_NAMES
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.family import Output, Rule, rename
from quantize_cli.architectures.maps import Map, ZeroRows
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.per_layer_embeddings import (
    OUTSIDE,
    PER_LAYER_INPUT,
    PER_LAYER_SHAPES,
    PER_LAYER_SIZES,
)
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Sizes
from quantize_cli.architectures.sliding_layers import SLIDING_PATTERN
from quantize_cli.errors import UnsupportedError
from quantize_cli.gguf_file.fields import ValueType


def _check(model: Model) -> None:
    """Refuse what llama.cpp does not load."""
    refuse_other_sizes(model)
    if len(set(_widths(model))) > 1:
        raise UnsupportedError(
            f"{model.config.where} gives layers different values of intermediate_size, but llama.cpp loads a Gemma 3n "
            "only if all layers have the same; take such a model."
        )


def _widths(model: Model) -> list[int]:
    return model.config.naturals(*FFN_NAMES) or []


def _sparsity(model: Model) -> list[float]:
    """Return the quantile of each layer's share of inactive neurons."""
    shares = model.config.get("activation_sparsity_pattern")
    if not isinstance(shares, list) or not all(type(share) in (int, float) and 0 <= share < 1 for share in shares):
        raise model.config.error(("activation_sparsity_pattern",), "a list of numbers from 0 to less than 1")
    return [normal_quantile(share) for share in shares]


def _filled_up(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    """Add rows of zeros for the tokens of images and sound, which the embedding may lack."""
    if shape[0] < (least := sizes.known("text_vocab")):
        raise ValueError(f"it has {shape[0]} rows, fewer than the {least} tokens of text")
    missing = sizes.known("vocab") - shape[0]
    return (ZeroRows(shape[0], missing),) if missing > 0 else ()


GEMMA3N = replace(
    GEMMA3,
    architecture="gemma3n",
    metadata=(
        *(
            ARRAY(ValueType.INT32, row.key, value=_widths) if row.key == "{arch}.feed_forward_length" else row
            for row in GEMMA3.metadata
        ),
        U32("{arch}.altup.active_idx", "altup_active_idx"),
        U32("{arch}.altup.num_inputs", "altup_num_inputs"),
        U32("{arch}.embedding_length_per_layer_input", "hidden_size_per_layer_input"),
        U32("{arch}.attention.shared_kv_layers", "num_kv_shared_layers"),
        ARRAY(ValueType.FLOAT32, "{arch}.activation_sparsity_scale", value=_sparsity),
        SLIDING_PATTERN,
    ),
    demands=(
        *GEMMA3.demands,
        Demand("attention.sliding_window", required=True),
        Demand("attention.sliding_window_pattern", ValueType.BOOL, each_layer=True),
    ),
    parts=(*GEMMA3.parts, PER_LAYER_INPUT, ALTUP, LAUREL),
    outside=(*ALTUP_OUTSIDE, *OUTSIDE, *GEMMA3.outside),
    namings=(rename(r"_scale$", "_scale.weight"),),
    stacks=(ALTUP_STACK,),
    rules=(Rule(r"embed_tokens(_per_layer)?\.weight$", (Output(maps=_filled_up),)),),
    sizes={
        **GEMMA3.sizes,
        **PER_LAYER_SIZES,
        **ALTUP_SIZES,
        "ffn": lambda sizes: next(iter(_widths(sizes.model)), None),
        "expert_ffn": lambda _sizes: None,
        "text_vocab": Named("vocab_size_per_layer_input", "vocab_size"),
    },
    shapes={**PER_LAYER_SHAPES, **ALTUP_SHAPES},
    check=_check,
    foldings=(),
)
