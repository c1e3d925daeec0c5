"""Multi-head latent attention: keys and values of all heads come from one small vector (DeepSeek V2)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Output, Part, Rule
from quantize_cli.architectures.maps import Map, Transpose
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.rows import U32, Source
from quantize_cli.architectures.sizes import Named, Size, Sizes, product, total

LATENT_ATTENTION = Part(
    (
        "attn_norm.weight",
        "attn_kv_a_mqa.weight",
        "attn_kv_a_norm.weight",
        "attn_k_b.weight",
        "attn_v_b.weight",
        "attn_output.weight",
    )
)
#: Queries come from another small vector, or directly.
LATENT_QUERIES = Part(("attn_q.weight", "attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight"))

LATENT_SIZES: Mapping[str, Size] = {
    "nope": Named("qk_nope_head_dim"),  # the part of a head that rope does not rotate
    "rope": Named("qk_rope_head_dim"),
    "head": total("nope", "rope"),
    "value_head": Named("v_head_dim"),
    "attention": product("heads", "value_head"),
    "q_lora": Named("q_lora_rank"),
    "kv_lora": Named("kv_lora_rank"),
    "kv_lora_and_rope": total("kv_lora", "rope"),
}


def _total(*names: str) -> Source:
    return lambda model: sum(model.config.required(name) for name in names)


#: llama.cpp runs latent attention as if all heads shared one key and value: the key `attention.head_count_kv` is 1.
LATENT_ROWS = (
    U32("{arch}.attention.q_lora_rank", "q_lora_rank"),
    U32("{arch}.attention.kv_lora_rank", "kv_lora_rank", value=512),
    U32("{arch}.attention.key_length", value=_total("kv_lora_rank", "qk_rope_head_dim")),
    U32("{arch}.attention.value_length", "kv_lora_rank", value=512),
    U32("{arch}.attention.key_length_mla", value=_total("qk_nope_head_dim", "qk_rope_head_dim")),
    U32("{arch}.attention.value_length_mla", "v_head_dim"),
)
#: The same where rope does not rotate any part of a head.
NOPE_ROWS = (
    *(U32(f"{{arch}}.attention.{rank}", rank) for rank in ("q_lora_rank", "kv_lora_rank")),
    U32("{arch}.rope.dimension_count", "qk_rope_head_dim"),
    *(U32(f"{{arch}}.attention.{what}_length", "kv_lora_rank") for what in ("key", "value")),
    U32("{arch}.attention.key_length_mla", "qk_nope_head_dim"),
    U32("{arch}.attention.value_length_mla", "v_head_dim"),
)


LATENT_DEMANDS = (
    Demand("attention.kv_lora_rank", required=True, least=1),
    Demand("attention.q_lora_rank"),
    Demand("attention.key_length_mla"),
    Demand("attention.value_length_mla"),
)


def _keys(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    nope = sizes.known("nope")
    return (Rows(nope + sizes.known("value_head"), 0, nope),)


def _values(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    nope, value = sizes.known("nope"), sizes.known("value_head")
    return (Rows(nope + value, nope, value),)


def _transposed(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    return (Transpose(sizes.known("nope"), sizes.known("kv_lora")),)


#: `kv_b_proj` holds the keys' rows and then the values' rows of each head; the keys' matrices are transposed.
SPLIT_KEYS_AND_VALUES = Rule(
    r"(?<=\.)kv_b_proj\.weight$",
    (Output("k_b_proj.weight", _keys, _transposed), Output("v_b_proj.weight", _values)),
)
