"""Falcon-H1: attention and Mamba 2 side by side, and weights that config.json multiplies."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.family import Family, Maps, Output, Part, Rule
from quantize_cli.architectures.mamba2 import (
    MAMBA2,
    MAMBA2_DEMANDS,
    MAMBA2_NAMINGS,
    MAMBA2_NORM,
    MAMBA2_RULES,
    MAMBA2_SHAPES,
    MAMBA2_SIZES,
)
from quantize_cli.architectures.maps import Map, Scale, ScaleRows
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import FFN, OUTPUT_BIAS, PROJECTIONS
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Named, Sizes
from quantize_cli.tokenizers.vocabularies import BPE


def _ssm_heads(model: Model) -> int:
    return model.config.required("mamba_d_ssm") // model.config.required("mamba_d_head")


def _numbers(sizes: Sizes, name: str, count: int) -> list[float]:
    numbers = sizes.model.config.numbers(name) or []
    if len(numbers) != count:
        raise ValueError(f"config.json gives {len(numbers)} {name} instead of {count}")
    return numbers


def _times(*names: str, item: int | None = None) -> Maps:
    """Return multiplications by the numbers of config.json, one after another; `item` is the place in a list."""

    def maps(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
        config = sizes.model.config
        if item is not None:
            return (Scale(_numbers(sizes, names[0], count=2)[item]),)
        return tuple(Scale(config.number(name) or 0.0) for name in names)

    return maps


def _projection(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    """Scale the gate, the input, B, C and the time steps each by its own number."""
    inner, state = sizes.known("ssm_inner"), sizes.known("ssm_groups") * sizes.known("ssm_state")
    ends = (inner, 2 * inner, 2 * inner + state, 2 * (inner + state), sizes.known("ssm_projection"))
    factors = _numbers(sizes, "ssm_multipliers", count=5)
    return (*_times("ssm_in_multiplier")(sizes, ()), ScaleRows(ends, tuple(factors)))


def _scaled(pattern: str, maps: Maps) -> Rule:
    return Rule(pattern, (Output(maps=maps),))


FALCON_H1 = Family(
    architecture="falcon-h1",
    metadata=(
        U32("{arch}.context_length", "max_position_embeddings", value=0),
        U32("{arch}.embedding_length", "hidden_size"),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.attention.head_count", "num_attention_heads"),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.ssm.conv_kernel", "mamba_d_conv", value=4),
        U32("{arch}.ssm.inner_size", "mamba_d_ssm"),
        U32("{arch}.ssm.state_size", "mamba_d_state", value=128),
        U32("{arch}.ssm.time_step_rank", value=_ssm_heads),
        U32("{arch}.ssm.group_count", "mamba_n_groups", value=1),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", value=1e-5),
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.attention.head_count_kv", "num_key_value_heads"),
        U32("{arch}.attention.key_length", "head_dim"),
        U32("{arch}.attention.value_length", "head_dim"),
        F32("{arch}.rope.freq_base", value=lambda model: model.rope.number("rope_theta")),
    ),
    demands=(*demands.ATTENTION, *MAMBA2_DEMANDS),
    vocabulary=BPE,
    parts=(MAMBA2, PROJECTIONS, Part(("ffn_norm",)), FFN),  # the name lacks .weight in llama.cpp too
    optional=(MAMBA2_NORM, OUTPUT_BIAS),
    namings=MAMBA2_NAMINGS,
    rules=(
        *MAMBA2_RULES,
        _scaled(r"down_proj", _times("mlp_multipliers", item=1)),
        _scaled(r"gate_proj", _times("mlp_multipliers", item=0)),
        _scaled(r"k_proj", _times("key_multiplier", "attention_in_multiplier")),
        _scaled(r"[qv]_proj", _times("attention_in_multiplier")),
        _scaled(r"\.o_proj", _times("attention_out_multiplier")),
        _scaled(r"out_proj", _times("ssm_out_multiplier")),
        _scaled(r"in_proj", _projection),
        _scaled(r"lm_head", _times("lm_head_multiplier")),
        _scaled(r"embed_tokens", _times("embedding_multiplier")),
    ),
    sizes={
        **MAMBA2_SIZES,
        "ssm_inner": Named("mamba_d_ssm"),
        "ssm_groups": Named("mamba_n_groups", default=1),
        "ssm_state": Named("mamba_d_state"),
        "ssm_heads": lambda sizes: _ssm_heads(sizes.model),
        "ssm_kernel": Named("mamba_d_conv", default=4),
    },
    shapes={**MAMBA2_SHAPES, "ffn_norm": ("hidden",)},
    foldings=(
        foldings.Folding("attn_norm", (*foldings.ATTENTION, "ssm_in")),
        foldings.FFN_NORM,
        foldings.VALUES,
        *foldings.UP,
    ),
)
