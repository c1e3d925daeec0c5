"""Nemotron-H and Nemotron Nano 2: each layer is Mamba 2, attention, or a feed-forward network without gates.

The reference reads these models right under a transformers that does not know their class; a later one gives all of
them experts.
"""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import LAYER_NORM, Demand
from quantize_cli.architectures.families.granite import GRANITE
from quantize_cli.architectures.family import Layers, Part, rename
from quantize_cli.architectures.hybrid_mamba2 import hybrid_rows, hybrid_sizes, of_kind
from quantize_cli.architectures.mamba2 import (
    MAMBA2,
    MAMBA2_DEMANDS,
    MAMBA2_NAMINGS,
    MAMBA2_NORM,
    MAMBA2_RULES,
    MAMBA2_SHAPES,
)
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, OUTPUT_BIAS, PLAIN_FFN, PLAIN_FFN_BIAS, QKV_BIAS
from quantize_cli.architectures.rows import ARRAY, U32, Source
from quantize_cli.architectures.sizes import even_share
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import NEMOTRON_H as VOCABULARY


def kinds(model: Model) -> list[str]:
    """Return the kind of each layer."""
    found = model.config.texts("layers_block_type")
    if found is None:
        raise CheckpointError(
            f"{model.config.where} does not tell the kinds of layers; add hybrid_override_pattern or layers_block_type."
        )
    return found


_attention = of_kind(kinds, ("attention", "full_attention"))
_mamba = of_kind(kinds, ("mamba", "linear_attention"))
dense = of_kind(kinds, ("mlp",))


def _attends(model: Model) -> list[int]:
    return [*_attention(model), *range(model.layers, model.blocks)]


def _inner(model: Model) -> int:
    return model.config.required("mamba_num_heads", "num_heads") * model.config.required("mamba_head_dim")


def widths(layers: Layers, name: str) -> Source:
    """Return the width of each layer's network, 0 where a layer does not have one."""

    def value(model: Model) -> list[int]:
        width, among = model.config.required(name), {*layers(model), *range(model.layers, model.blocks)}
        return [width if number in among else 0 for number in range(model.blocks)]

    return value


#: The class gives the dense models experts too.
_OF_EXPERTS = tuple(row.key for row in COMMON if row.key.startswith("{arch}.expert_"))
BASE = (
    *GRANITE.metadata,
    U32("{arch}.rope.dimension_count", value=even_share),  # not that of the heads, but attention does not rotate
    *hybrid_rows(_inner, _attends, lambda model: not _mamba(model)),
    U32("{arch}.attention.key_length", "head_dim", "attention_head_dim"),
    U32("{arch}.attention.value_length", "head_dim", "attention_head_dim"),
)
MIXERS = (
    *(MAMBA2.among(_mamba), MAMBA2_NORM.among(_mamba), ATTENTION.among(_attention)),
    Part(("attn_norm.weight",), lambda model: range(model.layers)),
)


NEMOTRON_H = replace(
    GRANITE,
    architecture="nemotron_h",
    metadata=(
        *(row for row in BASE if row.key not in _OF_EXPERTS),
        ARRAY(ValueType.INT32, "{arch}.feed_forward_length", value=widths(dense, "intermediate_size")),
    ),
    demands=(LAYER_NORM, *MAMBA2_DEMANDS, Demand("attention.head_count", required=True, least=1)),
    vocabulary=VOCABULARY,
    parts=(*MIXERS, PLAIN_FFN.among(dense)),
    optional=(QKV_BIAS.among(_attention), OUTPUT_BIAS.among(_attention), PLAIN_FFN_BIAS.among(dense)),
    namings=(rename(r"^model\.(?=layers\.\d+\.mixer\.)", "backbone."), *MAMBA2_NAMINGS),
    rules=(*MAMBA2_RULES, *GRANITE.rules[:1]),
    sizes=hybrid_sizes(_inner),
    shapes=MAMBA2_SHAPES,
    foldings=(foldings.Folding("attn_norm", (*foldings.ATTENTION, *foldings.FFN, "ssm_in")), foldings.VALUES),
)
