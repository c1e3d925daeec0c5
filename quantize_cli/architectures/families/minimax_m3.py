"""MiniMax M3: an indexer that chooses blocks of keys, shared experts, dense first layers, and norms stored less 1."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.config import Config
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.minimax_m2 import EXPERT_BIAS, MINIMAX_M2
from quantize_cli.architectures.family import Part, change
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import BOOL, F32, U32, Row
from quantize_cli.architectures.sizes import product

#: Key after `attention.indexer.` -> name in `sparse_attention_config`.
_INDEXER = {
    "head_count": "sparse_num_index_heads",
    "key_length": "sparse_index_dim",
    "top_k": "sparse_topk_blocks",
    "block_size": "sparse_block_size",
    "local_blocks": "sparse_local_block",
}


def _sparse_attention(model: Model) -> Config:
    return model.config.section("sparse_attention_config")


def _of_indexer(key: str) -> Row:
    name = _INDEXER[key]
    return U32(f"{{arch}}.attention.indexer.{key}", value=lambda model: _sparse_attention(model).required(name))


def _dense(model: Model) -> range:
    """Return the first layers, which do not have experts."""
    sparse = model.config.naturals("moe_layer_freq") or []
    return range(next((number for number, held in enumerate(sparse) if held), min(len(sparse), model.layers)))


def _sparse(model: Model) -> range:
    return range(len(_dense(model)), model.layers)


MINIMAX_M3 = replace(
    MINIMAX_M2,
    architecture="minimax-m3",
    metadata=(
        *MINIMAX_M2.metadata,
        U32("{arch}.expert_shared_count", "n_shared_experts"),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", value=True),
        *map(_of_indexer, _INDEXER),
        U32("{arch}.leading_dense_block_count", value=lambda model: len(_dense(model))),
    ),
    demands=(
        *MINIMAX_M2.demands,
        *demands.SHARED_EXPERTS,
        *(Demand(f"attention.indexer.{key}", required=True, least=1) for key in _INDEXER),
    ),
    parts=(
        *(ATTENTION, QK_NORM, FFN_NORM),
        FFN.among(_dense),
        EXPERT_FFN.among(_sparse),
        EXPERT_BIAS.among(_sparse),
        SHARED_EXPERT_FFN.among(_sparse),
        Part(tuple(f"indexer.{name}.weight" for name in ("q_proj", "k_proj", "q_norm", "k_norm")), _sparse),
    ),
    rules=(*MINIMAX_M2.rules, change(r"norm\.weight$", Add(1.0))),
    sizes={
        **MINIMAX_M2.sizes,
        "shared_experts": lambda sizes: sizes.model.config.integer("n_shared_experts"),
        "shared_ffn": product("shared_experts", "expert_ffn"),
        "index_head": lambda sizes: _sparse_attention(sizes.model).integer("sparse_index_dim"),
        "index_heads": lambda sizes: _sparse_attention(sizes.model).integer("sparse_num_index_heads"),
        "index_query": product("index_heads", "index_head"),
    },
    stored_types=((r"\.indexer\.", "F32"),),
    shapes={
        "indexer.q_proj.weight": ("index_query", "hidden"),
        "indexer.k_proj.weight": ("index_head", "hidden"),
        "indexer.q_norm.weight": ("index_head",),
        "indexer.k_norm.weight": ("index_head",),
    },
    foldings=(),
)
