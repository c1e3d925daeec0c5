"""MiniMax M2 and M3: experts with biases on their choice; M3 has an indexer of blocks, and norms stored less 1."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.config import Config
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family, Part, change
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, QK_NORM, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import BOOL, F32, U32, Source
from quantize_cli.architectures.sizes import Named, product
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE

_EXPERT_BIAS = Part(("exp_probs_b.bias",))

MINIMAX_M2 = Family(
    architecture="minimax-m2",
    metadata=(
        *COMMON,
        U32("{arch}.expert_feed_forward_length", "intermediate_size"),
        U32("{arch}.rope.dimension_count", "rotary_dim"),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func"),
    ),
    vocabulary=BPE,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN, _EXPERT_BIAS),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    rules=STACKED_EXPERTS,
    sizes={"expert_ffn": Named("intermediate_size")},
    shapes={"attn_q_norm.weight": ("query",), "attn_k_norm.weight": ("key",)},
)


def _sparse_attention(model: Model) -> Config:
    return model.config.section("sparse_attention_config")


def _of_indexer(name: str) -> Source:
    return lambda model: _sparse_attention(model).required(name)


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
        U32("{arch}.attention.indexer.head_count", value=_of_indexer("sparse_num_index_heads")),
        U32("{arch}.attention.indexer.key_length", value=_of_indexer("sparse_index_dim")),
        U32("{arch}.attention.indexer.top_k", value=_of_indexer("sparse_topk_blocks")),
        U32("{arch}.attention.indexer.block_size", value=_of_indexer("sparse_block_size")),
        U32("{arch}.attention.indexer.local_blocks", value=_of_indexer("sparse_local_block")),
        U32("{arch}.leading_dense_block_count", value=lambda model: len(_dense(model))),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("expert_gating_func", required=True),
        Demand("expert_shared_count", required=True),
        Demand("expert_weights_scale", ValueType.FLOAT32, least=None),
        Demand("leading_dense_block_count"),
        *(
            Demand(f"attention.indexer.{name}", required=True, least=1)
            for name in ("head_count", "key_length", "top_k", "block_size", "local_blocks")
        ),
    ),
    parts=(
        ATTENTION,
        QK_NORM,
        FFN_NORM,
        FFN.among(_dense),
        EXPERT_FFN.among(_sparse),
        _EXPERT_BIAS.among(_sparse),
        SHARED_EXPERT_FFN.among(_sparse),
        Part(tuple(f"indexer.{name}.weight" for name in ("q_proj", "k_proj", "q_norm", "k_norm")), _sparse),
    ),
    rules=(*STACKED_EXPERTS, change(r"norm\.weight$", Add(1.0))),
    sizes={
        "expert_ffn": Named("intermediate_size"),
        "shared_experts": Named("n_shared_experts"),
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
)
