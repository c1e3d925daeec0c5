"""Nemotron 3: Nemotron-H with experts, and with an MTP layer, which the checkpoint stores in two parts."""

from __future__ import annotations

import re
from dataclasses import replace

from quantize_cli.architectures.demands import EXPERTS, SHARED_EXPERT_WIDTH, Demand
from quantize_cli.architectures.families.nemotron_h import BASE, MIXERS, NEMOTRON_H, dense, kinds, widths
from quantize_cli.architectures.family import Family, Naming, Part, rename
from quantize_cli.architectures.hybrid_mamba2 import of_kind
from quantize_cli.architectures.mamba2 import MAMBA2_SHAPES
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, appended_mtp_layers
from quantize_cli.architectures.parts import ATTENTION, OUTPUT_BIAS, PLAIN_FFN
from quantize_cli.architectures.rows import ARRAY, BOOL, F32, U32
from quantize_cli.architectures.sizes import Named
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.gguf_file.fields import ValueType

_sparse = of_kind(kinds, ("moe",))


def _mtp(model: Model) -> range:
    """Return the MTP layers whose tensors are there."""
    stored = any(name.startswith("mtp.layers.0.") for name in model.infos)
    return range(model.layers, model.blocks) if stored else range(0)


_PARTS = {
    "0.enorm.weight": "model.layers.{}.enorm.weight",
    "0.hnorm.weight": "model.layers.{}.hnorm.weight",
    "0.eh_proj.weight": "model.layers.{}.eh_proj.weight",
    "1.norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "1.final_layernorm.weight": "model.layers.{}.shared_head.norm.weight",
}


def _in_one_layer(match: re.Match[str], model: Model) -> str:
    """Put both parts of the MTP layer behind the last layer: attention is part 0, experts are part 1."""
    return _PARTS.get(f"{match[1]}.{match[2]}", f"backbone.layers.{{}}.{match[2]}").format(model.layers)


def _check_mtp(model: Model) -> None:
    if not model.extra_layers and any(name.startswith("mtp.") for name in model.infos):
        raise CheckpointError(
            f"{model.config.where} does not give num_nextn_predict_layers, but {model.name} has tensors of an MTP "
            "layer; set it to 1."
        )
    if model.extra_layers > 1:
        raise UnsupportedError(
            f"{model.config.where} gives num_nextn_predict_layers as {model.extra_layers}, but llama.cpp runs one MTP "
            "layer of Nemotron only; take another model."
        )


_EXPERTS = Part(
    (
        *("ffn_gate_inp.weight", "exp_probs_b.bias", "ffn_up_exps.weight", "ffn_down_exps.weight"),
        *("ffn_up_shexp.weight", "ffn_down_shexp.weight"),
    )
)
_LATENT = Part(("ffn_latent_down.weight", "ffn_latent_up.weight"))
_MTP_LAYER = Part((*MTP.names, "nextn.shared_head_norm.weight", "post_attention_norm.weight"))

NEMOTRON_H_MOE = replace(
    NEMOTRON_H,
    architecture="nemotron_h_moe",
    metadata=(
        *BASE,
        ARRAY(ValueType.INT32, "{arch}.feed_forward_length", value=widths(_sparse, "moe_intermediate_size")),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size"),
        U32("{arch}.expert_shared_count", "n_shared_experts"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        U32("{arch}.moe_latent_size", "moe_latent_size"),
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
    ),
    demands=(
        *(*NEMOTRON_H.demands, *EXPERTS, SHARED_EXPERT_WIDTH),
        Demand("expert_feed_forward_length", each_layer=True),
        Demand("expert_weights_norm", ValueType.BOOL),
        Demand("expert_weights_scale", ValueType.FLOAT32, least=None),
        Demand("moe_latent_size"),
    ),
    parts=(
        *(*MIXERS, PLAIN_FFN.among(dense), _EXPERTS.among(_sparse)),
        *(part.among(_mtp) for part in (ATTENTION, _EXPERTS, _MTP_LAYER)),
    ),
    optional=(*NEMOTRON_H.optional, _LATENT.among(_sparse), _LATENT.among(_mtp), OUTPUT_BIAS.among(_mtp)),
    namings=(
        Naming(r"^mtp\.layers\.([01])\.(.+)$", _in_one_layer),
        *NEMOTRON_H.namings,
        rename(r"^backbone\.layers\.(\d+)\.mixer\.experts\.", r"model.layers.\1.mlp.experts."),
    ),
    sizes={
        **NEMOTRON_H.sizes,
        "expert_ffn": Named("moe_intermediate_size"),
        "shared_ffn": Named("moe_shared_expert_intermediate_size"),
        "latent": Named("moe_latent_size"),
        "expert_hidden": lambda sizes: sizes["latent"] or sizes["hidden"],
    },
    shapes={
        **MAMBA2_SHAPES,
        "ffn_up_exps.weight": ("experts", "expert_ffn", "expert_hidden"),
        "ffn_down_exps.weight": ("experts", "expert_hidden", "expert_ffn"),
        "ffn_latent_down.weight": ("latent", "hidden"),
        "ffn_latent_up.weight": ("hidden", "latent"),
    },
    # The reference looks for the layer by its number before it was put behind the others.
    stored_types=((r"^blk\.{mtp}\.ffn_gate_inp\.", None),),
    extra_layers=appended_mtp_layers,
    check=_check_mtp,
    foldings=(),
)


def _variant(_family: Family, model: Model) -> Family | None:
    return NEMOTRON_H_MOE if "moe" in kinds(model) else None


NEMOTRON = replace(NEMOTRON_H, special=_variant)
