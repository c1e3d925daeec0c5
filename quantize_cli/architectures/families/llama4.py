"""Llama 4: experts in every layer or every other one, beside one expert that all tokens use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Maps, Output, Rule
from quantize_cli.architectures.maps import Columns, Map, Transpose
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Named, Sizes
from quantize_cli.tokenizers.vocabularies import BPE


def _sparse(model: Model) -> Iterable[int]:
    """Return the layers with experts."""
    step = model.config.integer("interleave_moe_layer_step") or 1
    return [number for number in range(model.layers) if (number + 1) % step == 0]


def _dense(model: Model) -> Iterable[int]:
    return sorted(set(range(model.layers)) - set(_sparse(model)))


def _window(model: Model) -> int | None:
    """Return 0 if no layer attends to chunks."""
    kinds = model.layer_types()
    return 0 if kinds and all(kind == "full_attention" for kind in kinds) else None


def _half(number: int) -> Maps:
    """Return the transposed first (0) or second (1) half of the columns of each expert."""

    def maps(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
        rows, columns = shape[-2:]
        if columns % 2:
            raise ValueError("it cannot be halved into gates and other projections")
        return (Columns(columns, number * columns // 2, columns // 2), Transpose(rows, columns // 2))

    return maps


def _transposed(_sizes: Sizes, shape: tuple[int, ...]) -> tuple[Map, ...]:
    return (Transpose(*shape[-2:]),)


LLAMA4 = replace(
    LLAMA,
    architecture="llama4",
    metadata=(
        *LLAMA.metadata,
        U32("{arch}.feed_forward_length", "intermediate_size_mlp"),
        U32("{arch}.interleave_moe_layer_step", "interleave_moe_layer_step"),
        U32("{arch}.expert_feed_forward_length", "intermediate_size"),
        U32("{arch}.attention.sliding_window", value=_window),
    ),
    demands=(
        *LLAMA.demands,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("interleave_moe_layer_step", required=True, least=1),
    ),
    vocabulary=BPE,
    parts=(ATTENTION, FFN_NORM, FFN.among(_dense), EXPERT_FFN.among(_sparse), SHARED_EXPERT_FFN.among(_sparse)),
    optional=(),
    rules=(
        Rule(
            r"(?<=\.experts\.)gate_up_proj(\.weight)?$",
            (Output("gate_proj.weight", maps=_half(0)), Output("up_proj.weight", maps=_half(1))),
        ),
        Rule(r"(?<=\.experts\.)down_proj(\.weight)?$", (Output("down_proj.weight", maps=_transposed),)),
    ),
    sizes={
        "ffn": Named("intermediate_size_mlp"),
        "expert_ffn": Named("intermediate_size"),
        "shared_ffn": Named("intermediate_size"),
    },
)
