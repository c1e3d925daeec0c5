"""What llama.cpp's loader demands of keys: the demands of every architecture, and groups that families share.

`Demand`s are statements about one key; the reference is `load_hparams` (src/llama-model.cpp) for all architectures, and
`load_arch_hparams` (src/models/*.cpp) for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantize_cli.gguf_file.fields import ValueType

_MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS


@dataclass(frozen=True, slots=True)
class Demand:
    """What the loader demands of one key."""

    key: str  #: after the architecture's name and a dot
    type: ValueType = ValueType.UINT32
    required: bool = False
    least: float | None = 0  #: None if any number will do
    most: float = math.inf
    each_layer: bool = False  #: whether an array with an item for each layer does as well
    items: int | None = None  #: number of items of an array; None if the value must not be one
    unless: str = ""  #: a key in whose presence the loader does not look for this one


#: The demands of every architecture.
EVERY_ARCHITECTURE = (
    Demand("context_length", required=True, least=1),
    Demand("embedding_length", required=True, least=1),
    Demand("block_count", required=True, least=1, most=_MAX_LAYERS),
    Demand("nextn_predict_layers"),
    Demand("expert_count", most=_MAX_EXPERTS),
    Demand("expert_used_count", each_layer=True),
    Demand("expert_group_count"),
    Demand("expert_group_used_count"),
    Demand("feed_forward_length", each_layer=True),
    Demand("attention.head_count", each_layer=True),
    Demand("attention.head_count_kv", each_layer=True),
    Demand("attention.key_length"),
    Demand("attention.value_length"),
    Demand("rope.dimension_count"),
    Demand("rope.freq_base", ValueType.FLOAT32),
    Demand("rope.scaling.type", ValueType.STRING),
    Demand("rope.scaling.factor", ValueType.FLOAT32),
    Demand("rope.scaling.original_context_length"),
    Demand("rope.scaling.finetuned", ValueType.BOOL),
    Demand("rope.scaling.attn_factor", ValueType.FLOAT32, least=None),
    Demand("rope.scaling.alpha", ValueType.FLOAT32, least=None),
    Demand("embedding_length_out"),
    Demand("pooling_type"),
    Demand("classifier.pooling_type"),
    Demand("attention.causal", ValueType.BOOL),
    Demand("attention.key_length_swa"),
    Demand("attention.value_length_swa"),
    Demand("rope.dimension_count_swa"),
)

RMS_NORM = Demand("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, required=True)
LAYER_NORM = Demand("attention.layer_norm_epsilon", ValueType.FLOAT32, required=True)
HEADS = (
    Demand("attention.head_count", required=True, least=1, each_layer=True),
    Demand("attention.head_count_kv", least=1, each_layer=True),
)
ATTENTION = (RMS_NORM, *HEADS)
VOCABULARY = Demand("vocab_size")
EXPERTS = (
    Demand("expert_count", required=True, least=1, most=_MAX_EXPERTS),
    Demand("expert_used_count", required=True, least=1, each_layer=True),
)
EXPERT_WIDTH = Demand("expert_feed_forward_length", each_layer=True)
#: Experts that every token uses, beside those that are chosen, and layers before them.
SHARED_EXPERTS = (
    Demand("expert_shared_count", required=True),
    Demand("expert_weights_scale", ValueType.FLOAT32, least=None),
    Demand("leading_dense_block_count"),
)
SHARED_EXPERT_WIDTH = Demand("expert_shared_feed_forward_length")
ROPE_SECTIONS = Demand("rope.dimension_sections", ValueType.INT32, required=True, items=4)
GATED_DELTA_NET = (
    *(
        Demand(f"ssm.{name}", required=True, least=1)
        for name in ("conv_kernel", "inner_size", "state_size", "time_step_rank", "group_count")
    ),
    Demand("attention.recurrent_layers", each_layer=True),
    Demand("full_attention_interval", least=1, unless="attention.recurrent_layers"),
)
