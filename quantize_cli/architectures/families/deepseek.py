"""DeepSeek V2 and V3: latent attention, shared experts, and dense first layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, Naming, Output, Part, Rule
from quantize_cli.architectures.maps import Map, Transpose
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.parts import EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import BOOL, F32, U32, Source
from quantize_cli.architectures.sizes import Named, Sizes, product, total
from quantize_cli.tokenizers.vocabularies import DEEPSEEK as VOCABULARY


def _total(*names: str) -> Source:
    return lambda model: sum(model.config.required(name) for name in names)


def _dense_layers(model: Model) -> int:
    dense = model.config.natural("first_k_dense_replace")
    if dense is not None:
        return min(dense, model.layers)
    return model.layers if model.config.get("n_routed_experts") is None else 0


def _dense(model: Model) -> Iterable[int]:
    return range(_dense_layers(model))


def _sparse(model: Model) -> Iterable[int]:
    return range(_dense_layers(model), model.layers)


def _yarn_log_multiplier(model: Model) -> float | None:
    scale = model.rope.number("mscale_all_dim")
    return None if scale is None else 0.1 * scale


def _of_text_layers(match: re.Match[str], model: Model) -> str | None:
    """Leave out the layers that only predict further tokens, which the reference cannot run for this family."""
    return match.string if int(match[1]) < model.layers else None


def _tied_head(match: re.Match[str], model: Model) -> str | None:
    return None if model.config.get("tie_word_embeddings") else match.string


def _keys(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    nope, value = sizes.known("nope"), sizes.known("value_head")
    return (Rows(nope + value, 0, nope),)


def _values(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    nope, value = sizes.known("nope"), sizes.known("value_head")
    return (Rows(nope + value, nope, value),)


def _transposed_keys(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    return (Transpose(sizes.known("nope"), sizes.known("kv_lora")),)


_LATENT_ATTENTION = Part(
    (
        "attn_norm.weight",
        "attn_kv_a_mqa.weight",
        "attn_kv_a_norm.weight",
        "attn_k_b.weight",
        "attn_v_b.weight",
        "attn_output.weight",
    )
)

DEEPSEEK2 = Family(
    architecture="deepseek2",
    metadata=(
        *COMMON,
        # Latent attention runs as if all heads shared one key and value.
        U32("{arch}.attention.head_count_kv", value=1),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", value=1e-6),
        U32("{arch}.leading_dense_block_count", value=_dense_layers),
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.attention.q_lora_rank", "q_lora_rank"),
        U32("{arch}.attention.kv_lora_rank", "kv_lora_rank", value=512),
        U32("{arch}.attention.key_length", value=_total("kv_lora_rank", "qk_rope_head_dim")),
        U32("{arch}.attention.value_length", "kv_lora_rank", value=512),
        U32("{arch}.attention.key_length_mla", value=_total("qk_nope_head_dim", "qk_rope_head_dim")),
        U32("{arch}.attention.value_length_mla", "v_head_dim"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size", "intermediate_size"),
        U32("{arch}.expert_count", "n_routed_experts"),
        U32("{arch}.expert_shared_count", "n_shared_experts", value=0),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", value=lambda model: model.config.flag("norm_topk_prob") or None),
        U32("{arch}.rope.dimension_count", "qk_rope_head_dim"),
        F32("{arch}.rope.scaling.yarn_log_multiplier", value=_yarn_log_multiplier),
    ),
    vocabulary=VOCABULARY,
    parts=(_LATENT_ATTENTION, FFN_NORM, FFN.among(_dense), EXPERT_FFN.among(_sparse), SHARED_EXPERT_FFN.among(_sparse)),
    optional=(
        Part(("attn_q.weight", "attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight")),
        Part(("exp_probs_b.bias",), _sparse),
    ),
    namings=(Naming(r"^model\.layers\.(\d+)\.", _of_text_layers), Naming(r"^(model\.)?lm_head\.weight$", _tied_head)),
    rules=(
        Rule(
            r"(?<=\.)kv_b_proj\.weight$",
            (Output("k_b_proj.weight", _keys, _transposed_keys), Output("v_b_proj.weight", _values)),
        ),
    ),
    sizes={
        "nope": Named("qk_nope_head_dim"),
        "rope": Named("qk_rope_head_dim"),
        "head": total("nope", "rope"),
        "value_head": Named("v_head_dim"),
        "attention": product("heads", "value_head"),
        "q_lora": Named("q_lora_rank"),
        "kv_lora": Named("kv_lora_rank"),
        "kv_lora_and_rope": total("kv_lora", "rope"),
        "expert_ffn": Named("moe_intermediate_size", "intermediate_size"),
        "shared_experts": Named("n_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
    },
)
