"""DeepSeek V3.2 and GLM 5: latent attention to the tokens that a small indexer chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.deepseek import DEEPSEEK2, GLM4_MOE_LITE, MTP_OPTIONAL, MTP_PARTS
from quantize_cli.architectures.family import Part, leave_out_tied_head
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import appended_mtp_layers, stored_appended_layers
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.architectures.sizes import Named, Size, product
from quantize_cli.gguf_file.fields import ValueType

INDEXER = Part(
    (
        "indexer.k_norm.weight",
        "indexer.k_norm.bias",
        "indexer.proj.weight",
        "indexer.attn_k.weight",
        "indexer.attn_q_b.weight",
    )
)
_QUERIES = Part(("attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight"))
INDEXER_SIZES: Mapping[str, Size] = {
    "indexer_heads": Named("index_n_heads"),
    "indexer_head": Named("index_head_dim"),
    "indexer_query": product("indexer_heads", "indexer_head"),
}
INDEXER_SHAPES = {
    "indexer.k_norm.weight": ("indexer_head",),
    "indexer.k_norm.bias": ("indexer_head",),
    "indexer.proj.weight": ("indexer_heads", "hidden"),
    "indexer.attn_k.weight": ("indexer_head", "hidden"),
    "indexer.attn_q_b.weight": ("indexer_query", "q_lora"),
}
INDEXER_COUNTS = tuple(
    U32(f"{{arch}}.attention.indexer.{key}", name)
    for key, name in (("head_count", "index_n_heads"), ("key_length", "index_head_dim"), ("top_k", "index_topk"))
)

DEEPSEEK32 = replace(
    DEEPSEEK2,
    architecture="deepseek32",
    metadata=(*DEEPSEEK2.metadata, U32("{arch}.nextn_predict_layers", "num_nextn_predict_layers"), *INDEXER_COUNTS),
    demands=(
        *(demand for demand in DEEPSEEK2.demands if demand.key != "expert_gating_func"),
        Demand("attention.q_lora_rank", required=True, least=1),
        Demand("expert_gating_func", required=True),
        *(Demand(row.key.removeprefix("{arch}."), required=True, least=1) for row in INDEXER_COUNTS),
    ),
    parts=(
        *DEEPSEEK2.parts,
        _QUERIES,
        INDEXER,
        *(part.among(stored_appended_layers) for part in (_QUERIES, INDEXER)),
        *MTP_PARTS,
    ),
    optional=(*DEEPSEEK2.optional, *MTP_OPTIONAL),
    namings=(leave_out_tied_head,),
    sizes={**DEEPSEEK2.sizes, **INDEXER_SIZES},
    shapes=INDEXER_SHAPES,
    extra_layers=appended_mtp_layers,
)


def _rotated(model: Model) -> int | None:
    rope, factor = model.config.integer("qk_rope_head_dim"), model.rope.number("partial_rotary_factor")
    return None if rope is None else int(rope * (1.0 if factor is None else factor))


def _full(model: Model) -> list[bool] | None:
    """Return for each layer whether it has an indexer of its own."""
    kinds = model.config.texts("indexer_types")
    return None if kinds is None else [kind == "full" for kind in kinds]


GLM_DSA = replace(
    DEEPSEEK32,
    architecture="glm-dsa",
    metadata=(
        *DEEPSEEK2.metadata,
        U32("{arch}.rope.dimension_count", value=_rotated),
        U32("{arch}.nextn_predict_layers", "num_nextn_predict_layers"),
        *INDEXER_COUNTS,
        ARRAY(ValueType.BOOL, "{arch}.attention.indexer.types", value=_full),
    ),
    demands=(
        *(demand for demand in DEEPSEEK32.demands if demand.key != "expert_gating_func"),
        Demand("expert_gating_func"),
    ),
    vocabulary=GLM4_MOE_LITE.vocabulary,
    parts=(*DEEPSEEK2.parts, _QUERIES, _QUERIES.among(stored_appended_layers), *MTP_PARTS),
    optional=(*DEEPSEEK32.optional, INDEXER, INDEXER.among(stored_appended_layers)),
    foldings=(),
)
