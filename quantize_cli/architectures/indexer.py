"""An indexer in each layer of full attention, which chooses the tokens to attend to (Qwen3.8-Flash-Next)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Output, Part, Rule
from quantize_cli.architectures.linear_attention import FULL_ATTENTION, full_layers
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Size, Sizes, product, total
from quantize_cli.gguf_file.fields import ValueType


def _ratios(model: Model) -> list[int]:
    ratio = model.config.required("indexer_compress_ratio")
    return [ratio if kind in FULL_ATTENTION else 0 for kind in model.layer_types() or []]


def _queries(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Rows(sizes.known("indexer_rows"), 0, sizes.known("indexer_query")),)


def _keys(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Rows(sizes.known("indexer_rows"), sizes.known("indexer_query"), sizes.known("indexer_head")),)


INDEXER_ROWS = (
    U32("{arch}.attention.indexer.head_count", "indexer_n_heads"),
    U32("{arch}.attention.indexer.key_length", "indexer_head_dim"),
    U32("{arch}.attention.indexer.top_k", "indexer_budget"),
    ARRAY(ValueType.INT32, "{arch}.attention.compress_ratios", value=_ratios),
)
INDEXER_DEMANDS = tuple(
    Demand(f"attention.indexer.{name}", required=True, least=1) for name in ("head_count", "key_length", "top_k")
)
INDEXER = Part(tuple(f"indexer.{name}.weight" for name in ("q_proj", "k_proj", "q_norm", "k_norm")), full_layers)
#: One tensor has the rows of the queries, and then those of the keys.
INDEXER_RULES = (
    Rule(
        r"^model\.layers\.(\d+)\.self_attn\.indexer\.index_qk_proj\.weight$",
        (Output(r"blk.\1.indexer.q_proj.weight", _queries), Output(r"blk.\1.indexer.k_proj.weight", _keys)),
    ),
)
INDEXER_SIZES: Mapping[str, Size] = {
    "indexer_heads": Named("indexer_n_heads"),
    "indexer_head": Named("indexer_head_dim"),
    "indexer_query": product("indexer_heads", "indexer_head"),
    "indexer_rows": total("indexer_query", "indexer_head"),
}
INDEXER_SHAPES = {
    "indexer.q_proj.weight": ("indexer_query", "hidden"),
    "indexer.k_proj.weight": ("indexer_head", "hidden"),
    "indexer.q_norm.weight": ("indexer_head",),
    "indexer.k_norm.weight": ("indexer_head",),
}
