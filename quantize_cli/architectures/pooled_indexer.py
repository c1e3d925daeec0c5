"""An indexer that chooses pools of tokens, in layers that may share the choice of a layer before (GLM 5 Next)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.delta_attention import latent_layers
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.sparse_attention import INDEXER, INDEXER_COUNTS, INDEXER_SHAPES, INDEXER_SIZES
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY, BOOL, U32
from quantize_cli.architectures.sizes import Named, Size
from quantize_cli.gguf_file.fields import ValueType


def _full(model: Model) -> list[bool] | None:
    """Return for each layer whether it has an indexer of its own, if it attends by one."""
    kinds = model.config.texts("indexer_types")
    return None if kinds is None else [kind == "full" for kind in kinds]


def indexed_layers(model: Model) -> list[int]:
    """Return the layers with an indexer."""
    full = _full(model)
    return [number for number in latent_layers(model) if full is None or full[number : number + 1] == [True]]


POOL_ROWS = (
    *INDEXER_COUNTS,
    U32("{arch}.attention.indexer.kpool", "index_kpool"),
    BOOL("{arch}.attention.indexer.kpool_select_tail", "index_kpool_always_select_tail", value=True),
    ARRAY(ValueType.BOOL, "{arch}.attention.indexer.types", value=_full),
)
POOL_DEMANDS = (
    *(Demand(row.key.removeprefix("{arch}."), required=True, least=1) for row in INDEXER_COUNTS),
    Demand("attention.indexer.kpool", required=True, least=2),
)
POOLED_INDEXER = Part((*INDEXER.names, "indexer_compressor_gate.weight", "indexer_compressor_ape.weight"))
POOL_SIZES: Mapping[str, Size] = {**INDEXER_SIZES, "pool": Named("index_kpool")}
POOL_SHAPES = {
    **INDEXER_SHAPES,
    "indexer_compressor_gate.weight": ("indexer_head", "hidden"),
    "indexer_compressor_ape.weight": ("pool", "indexer_head"),
}
