"""Granite 3 and 4, dense and with experts: Llama's decoder with four multipliers."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.demands import EXPERTS, Demand
from quantize_cli.architectures.experts import half
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Output, Rule, leave_out
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import F32, U32, unless_zero
from quantize_cli.architectures.sizes import Named
from quantize_cli.errors import UnsupportedError
from quantize_cli.gguf_file.fields import ValueType

#: The reference ignores `head_dim`, so it never writes these keys of Llama's.
_IGNORED = ("{arch}.attention.key_length", "{arch}.attention.value_length")


def _refuse_images(model: Model) -> None:
    """Refuse Granite Vision's text part: one of its keys is computed from the image layers."""
    if model.config.get("spatial_target_layers") or model.config.get("deepstack_layer_map"):
        raise UnsupportedError(
            f"{model.config.where} is of Granite Vision, whose image layers this version cannot convert; take a text "
            "model of Granite."
        )


GRANITE = replace(
    LLAMA,
    architecture="granite",
    demands=(*LLAMA.demands, Demand("logit_scale", ValueType.FLOAT32, required=True)),
    metadata=(
        *(row for row in LLAMA.metadata if row.key not in _IGNORED),
        F32("{arch}.attention.scale", value=unless_zero("attention_multiplier")),
        F32("{arch}.embedding_scale", value=unless_zero("embedding_multiplier")),
        F32("{arch}.residual_scale", value=unless_zero("residual_multiplier")),
        F32("{arch}.logit_scale", value=unless_zero("logits_scaling")),
    ),
    parts=(ATTENTION, FFN_NORM, FFN),
    namings=(leave_out(r"^encoder\.|image_|layerwise_projectors|spatial_projectors"),),
    check=_refuse_images,
)

#: A layer, whose number the GGUF names below repeat.
_LAYER = r"^model\.layers\.(\d+)\."


def gates(kind: str) -> tuple[Output, Output]:
    """Return the halves of a matrix of gates and other projections, under their GGUF names."""
    return half(0, rf"blk.\1.ffn_gate_{kind}.weight"), half(1, rf"blk.\1.ffn_up_{kind}.weight")


def _shared_ffn(model: Model) -> int | None:
    return model.config.natural("shared_intermediate_size") or None


GRANITE_MOE = replace(
    GRANITE,
    architecture="granitemoe",
    demands=(*GRANITE.demands, *EXPERTS),
    metadata=(
        *GRANITE.metadata,
        U32("{arch}.expert_shared_feed_forward_length", value=_shared_ffn),
    ),
    parts=(ATTENTION, FFN_NORM, EXPERT_FFN),
    optional=(*GRANITE.optional, SHARED_EXPERT_FFN),
    sizes={"shared_ffn": Named("shared_intermediate_size")},
    rules=(
        *LLAMA.rules[:1],
        Rule(_LAYER + r"block_sparse_moe\.input_linear\.weight$", gates("exps")),
        Rule(_LAYER + r"shared_mlp\.input_linear\.weight$", gates("shexp")),
    ),
)
