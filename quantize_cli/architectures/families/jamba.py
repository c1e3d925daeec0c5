"""Jamba: selective state spaces in most layers, attention in the others, and experts in every second layer."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.common import EXPERTS, EXPERTS_USED
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.mamba import MAMBA1
from quantize_cli.architectures.family import EXPERTS as EXPERT_STACKS
from quantize_cli.architectures.family import Layers, Part, rename
from quantize_cli.architectures.mamba2 import MAMBA2
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import EXPERT_FFN, FFN, FFN_NORM, PROJECTIONS
from quantize_cli.architectures.rows import ARRAY, F32, U32
from quantize_cli.architectures.sizes import Named
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import JAMBA as VOCABULARY


def _every(kind: str, *, others: bool = False) -> Layers:
    """Return the layers with attention or experts, which config.json counts from an offset on, or the others."""

    def layers(model: Model) -> list[int]:
        first = model.config.natural(f"{kind}_layer_offset") or 0
        chosen = set(range(first, model.layers, model.config.required(f"{kind}_layer_period")))
        return sorted(set(range(model.layers)) - chosen if others else chosen)

    return layers


def _kv_heads(model: Model) -> list[int]:
    """Return 0 for layers without attention, by which llama.cpp knows them."""
    heads, attention = model.config.required("num_key_value_heads"), set(_every("attn")(model))
    return [heads if number in attention else 0 for number in range(model.layers)]


def _inner(model: Model) -> int:
    return model.config.required("mamba_expand") * model.config.required("hidden_size")


def _rank(model: Model) -> int:
    return model.config.integer("mamba_dt_rank") or -(-model.config.required("hidden_size") // 16)


_STATE_SPACE = Part((*(name for name in MAMBA2.names if name != "attn_norm.weight"), *MAMBA1.parts[1].names))
_NORMS = Part(("ssm_dt_norm.weight", "ssm_b_norm.weight", "ssm_c_norm.weight"))

JAMBA = replace(
    MAMBA1,
    architecture="jamba",
    metadata=(
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.context_length", "max_position_embeddings", "n_ctx"),
        U32("{arch}.embedding_length", "hidden_size"),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.attention.head_count", "num_attention_heads"),
        ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=_kv_heads),
        U32("{arch}.ssm.conv_kernel", "mamba_d_conv", value=4),
        U32("{arch}.ssm.inner_size", value=_inner),
        U32("{arch}.ssm.state_size", "mamba_d_state", value=16),
        U32("{arch}.ssm.time_step_rank", value=_rank),
        F32("{arch}.attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "rms_norm_eps", value=1e-6),
        U32("{arch}.expert_count", *EXPERTS),
        U32("{arch}.expert_used_count", *EXPERTS_USED),
    ),
    demands=(*MAMBA1.demands, Demand("attention.head_count_kv", each_layer=True)),
    vocabulary=VOCABULARY,
    parts=(
        *(Part(("attn_norm.weight",)), FFN_NORM),
        *(PROJECTIONS.among(_every("attn")), EXPERT_FFN.among(_every("expert"))),
        *(part.among(_every("attn", others=True)) for part in (_STATE_SPACE, _NORMS)),
        FFN.among(_every("expert", others=True)),
    ),
    namings=(rename(r"\.moe\.", ".feed_forward."), rename(r"\.feed_forward(?=\.experts\.)", ".mlp")),
    stacks=(EXPERT_STACKS,),
    sizes={
        **{name: size for name, size in MAMBA1.sizes.items() if name not in ("vocab", "hidden")},
        "ssm_inner": lambda sizes: _inner(sizes.model),
        "ssm_rank": lambda sizes: _rank(sizes.model),
        "ssm_state": Named("mamba_d_state", default=16),
        "ssm_kernel": Named("mamba_d_conv", default=4),
    },
    shapes={
        **MAMBA1.shapes,
        "ssm_dt_norm.weight": ("ssm_rank",),
        **{f"ssm_{name}_norm.weight": ("ssm_state",) for name in "bc"},
    },
    needed=("vocab", "hidden", "heads", "ffn"),
    check=lambda _model: None,
    foldings=(),
)
