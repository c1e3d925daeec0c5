"""Granite 4 and Bamba: Mamba 2 with attention in some layers, or in all; experts in some models."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import foldings
from quantize_cli.architectures.demands import EXPERTS, RMS_NORM, SHARED_EXPERT_WIDTH, Demand
from quantize_cli.architectures.experts import half
from quantize_cli.architectures.families.granite import GRANITE, GRANITE_MOE
from quantize_cli.architectures.family import Family, Output, Rule
from quantize_cli.architectures.hybrid_mamba2 import hybrid_rows, hybrid_sizes
from quantize_cli.architectures.mamba2 import (
    MAMBA2,
    MAMBA2_DEMANDS,
    MAMBA2_NAMINGS,
    MAMBA2_NORM,
    MAMBA2_RULES,
    MAMBA2_SHAPES,
)
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.tokenizers.vocabularies import GRANITE_HYBRID as VOCABULARY


def _attention(model: Model) -> list[int]:
    """Return the layers with attention: by their kinds, their numbers, or a period."""
    config, layers = model.config, range(model.layers)
    if (kinds := model.layer_types()) is not None:
        return [number for number in layers if kinds[number] == "attention"]
    if numbers := config.naturals("attn_layer_indices"):
        return [number for number in layers if number in set(numbers)]
    period, offset = config.integer("attn_layer_period"), config.natural("attn_layer_offset")
    if period is None or offset is None:
        raise CheckpointError(
            f"{config.where} does not tell which layers have attention; add layer_types, one kind for each layer."
        )
    return [number for number in layers if number % period == offset]


def _mamba(model: Model) -> list[int]:
    return sorted(set(range(model.layers)) - set(_attention(model)))


def _inner(model: Model) -> int:
    return model.config.required("mamba_expand", "expand") * model.config.required("hidden_size", "d_model")


def _rotates(model: Model) -> bool:
    return "BambaForCausalLM" in (model.config.texts("architectures") or ()) or not _mamba(model)


def _check_expansion(model: Model) -> None:
    inner, hidden = _inner(model), model.config.required("hidden_size", "d_model")
    if inner != 2 * hidden and _mamba(model):
        raise UnsupportedError(
            f"{model.config.where} makes the inner size {inner}, but llama.cpp runs Granite's Mamba only with twice "
            f"the hidden size, which is {hidden}; take another model."
        )


_ROWS = hybrid_rows(_inner, _attention, _rotates)
_LAYER = r"^model\.layers\.(\d+)\.shared_mlp\."
#: Without experts, the shared network is the only one.
_ONLY_FFN = (
    Rule(
        _LAYER + r"input_linear\.weight$",
        (half(0, r"blk.\1.ffn_gate.weight"), half(1, r"blk.\1.ffn_up.weight")),
    ),
    Rule(_LAYER + r"output_linear\.weight$", (Output(r"blk.\1.ffn_down.weight"),)),
)
_SHARED = {"ffn": lambda sizes: sizes.model.config.integer("shared_intermediate_size", "intermediate_size")}

#: All layers attend: the architectures are those of Granite 3.
_GRANITE = replace(
    GRANITE,
    metadata=(*GRANITE_MOE.metadata, *_ROWS),
    vocabulary=VOCABULARY,
    rules=(*GRANITE.rules, *_ONLY_FFN),
    sizes=_SHARED,
)
_GRANITE_MOE = replace(GRANITE_MOE, metadata=(*GRANITE_MOE.metadata, *_ROWS), vocabulary=VOCABULARY)

_MIXERS = (MAMBA2.among(_mamba), MAMBA2_NORM.among(_mamba), ATTENTION.among(_attention), FFN_NORM)
_DENSE = replace(
    _GRANITE,
    architecture="granitehybrid",
    demands=(RMS_NORM, *MAMBA2_DEMANDS, SHARED_EXPERT_WIDTH, Demand("attention.head_count", required=True)),
    parts=(*_MIXERS, FFN),
    namings=(*GRANITE.namings, *MAMBA2_NAMINGS),
    rules=(*MAMBA2_RULES, *_GRANITE.rules),
    sizes={**hybrid_sizes(_inner), **_SHARED},
    shapes=MAMBA2_SHAPES,
    foldings=(
        foldings.Folding("attn_norm", (*foldings.ATTENTION, "ssm_in")),
        foldings.FFN_NORM,
        foldings.VALUES,
        *foldings.UP,
    ),
)
_EXPERTS = replace(
    _DENSE,
    demands=(*_DENSE.demands, *EXPERTS),
    parts=(*_MIXERS, EXPERT_FFN),
    optional=GRANITE_MOE.optional,
    rules=(*MAMBA2_RULES, *GRANITE_MOE.rules),
    sizes={**hybrid_sizes(_inner), **GRANITE_MOE.sizes},
)

#: (whether some layers are Mamba, whether there are experts) -> family
_VARIANTS = {
    (mamba, experts): replace(family, check=_check_expansion)
    for (mamba, experts), family in (
        ((True, True), _EXPERTS),
        ((True, False), _DENSE),
        ((False, True), _GRANITE_MOE),
        ((False, False), _GRANITE),
    )
}


def _variant(_family: Family, model: Model) -> Family:
    return _VARIANTS[bool(_mamba(model)), bool(model.config.natural("num_local_experts"))]


GRANITE_HYBRID = replace(_DENSE, special=_variant)
