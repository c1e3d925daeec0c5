"""Qwen3.8-Flash-Next: Qwen 3.5's mixers and experts, with hyper-connections, an indexer, and n-gram embeddings."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.qwen3_5 import QWEN3_5_MOE
from quantize_cli.architectures.families.qwen3_next import EXPERTS
from quantize_cli.architectures.family import EXPERTS as EXPERT_STACK
from quantize_cli.architectures.family import Output, Part, Rule, leave_out
from quantize_cli.architectures.linear_attention import ALPHA_BETA, DELTA_NET, FULL_ATTENTION, full_layers
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.ngram_embedding import (
    NGRAM_NAMINGS,
    NGRAM_PARTS,
    NGRAM_ROWS,
    NGRAM_RULES,
    NGRAM_SHAPES,
    NGRAM_SIZES,
    NGRAM_STACK,
    NGRAM_TABLE,
    check_ngrams,
)
from quantize_cli.architectures.parts import ATTENTION, QK_NORM
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Sizes, product, total
from quantize_cli.gguf_file.fields import ValueType

_HYPER = ("norm", "down", "up", "inject")
_SHAPES = {"norm": ("streams",), "down": ("hc_rank", "streams"), "up": ("streams", "hc_rank")}


def _ratios(model: Model) -> list[int]:
    ratio = model.config.required("indexer_compress_ratio")
    return [ratio if kind in FULL_ATTENTION else 0 for kind in model.layer_types() or []]


def _queries(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Rows(sizes.known("indexer_rows"), 0, sizes.known("indexer_query")),)


def _keys(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Rows(sizes.known("indexer_rows"), sizes.known("indexer_query"), sizes.known("indexer_head")),)


QWEN4_EXP = replace(
    QWEN3_5_MOE,
    architecture="qwen4exp",
    metadata=(
        *QWEN3_5_MOE.metadata,
        U32("{arch}.hyper_connection.count", "hc_count"),
        U32("{arch}.hyper_connection.low_rank", "hc_lowrank"),
        U32("{arch}.attention.indexer.head_count", "indexer_n_heads"),
        U32("{arch}.attention.indexer.key_length", "indexer_head_dim"),
        U32("{arch}.attention.indexer.top_k", "indexer_budget"),
        ARRAY(ValueType.INT32, "{arch}.attention.compress_ratios", value=_ratios),
        *NGRAM_ROWS,
    ),
    demands=(
        *QWEN3_5_MOE.demands,
        Demand("hyper_connection.count", required=True, least=2),
        *(
            Demand(key, required=True, least=1)
            for key in (
                "hyper_connection.low_rank",
                *(f"attention.indexer.{n}" for n in ("head_count", "key_length", "top_k")),
            )
        ),
    ),
    parts=(
        Part(tuple(f"hc_{place}_{name}.weight" for place in ("attn", "ffn") for name in _HYPER)),
        *(DELTA_NET, ALPHA_BETA, Part(ATTENTION.names[1:], full_layers), QK_NORM.among(full_layers), *EXPERTS),
        Part(tuple(f"indexer.{name}.weight" for name in ("q_proj", "k_proj", "q_norm", "k_norm")), full_layers),
        NGRAM_PARTS,
    ),
    optional=(),
    outside=("token_embd.weight", *(f"output_hc_{name}.weight" for name in _SHAPES)),
    optional_outside=("output.weight", NGRAM_TABLE),
    namings=(*NGRAM_NAMINGS, leave_out(r"^(model\.)?mtp\.")),
    stacks=(EXPERT_STACK, NGRAM_STACK),
    rules=(
        *QWEN3_5_MOE.rules,
        Rule(
            r"^model\.layers\.(\d+)\.self_attn\.indexer\.index_qk_proj\.weight$",
            (Output(r"blk.\1.indexer.q_proj.weight", _queries), Output(r"blk.\1.indexer.k_proj.weight", _keys)),
        ),
        *NGRAM_RULES,
    ),
    sizes={
        **QWEN3_5_MOE.sizes,
        **NGRAM_SIZES,
        "hc_count": Named("hc_count"),
        "hc_rank": Named("hc_lowrank"),
        "streams": product("hc_count", "hidden"),
        "indexer_heads": Named("indexer_n_heads"),
        "indexer_head": Named("indexer_head_dim"),
        "indexer_query": product("indexer_heads", "indexer_head"),
        "indexer_rows": total("indexer_query", "indexer_head"),
    },
    shapes={
        **NGRAM_SHAPES,
        **{f"{place}_{name}.weight": _SHAPES[name] for place in ("hc_attn", "hc_ffn", "output_hc") for name in _SHAPES},
        **{f"hc_{place}_inject.weight": ("hc_count", "streams") for place in ("attn", "ffn")},
        "indexer.q_proj.weight": ("indexer_query", "hidden"),
        "indexer.k_proj.weight": ("indexer_head", "hidden"),
        "indexer.q_norm.weight": ("indexer_head",),
        "indexer.k_norm.weight": ("indexer_head",),
    },
    extra_layers=lambda _model: 0,
    check=check_ngrams,
)
