"""Command R and R7B: layer norms without biases, scaled logits, and attention beside the feed-forward network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON, CONTEXT
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, leave_out
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, FFN
from quantize_cli.architectures.rows import F32, STR, U32
from quantize_cli.architectures.sizes import rotated
from quantize_cli.errors import UnsupportedError, shown
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE

_LOGIT_SCALE = F32("{arch}.logit_scale", "logit_scale")
_NO_SCALING = STR("{arch}.rope.scaling.type", value="none")

COHERE = Family(
    architecture="command-r",
    metadata=(
        *COMMON,
        # Trained on longer texts than max_position_embeddings tells.
        U32("{arch}.context_length", "model_max_length", *CONTEXT),
        *(_LOGIT_SCALE, _NO_SCALING),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS, Demand("logit_scale", ValueType.FLOAT32)),
    vocabulary=BPE,
    parts=(ATTENTION, FFN),
    optional=(Part(("attn_q_norm.weight", "attn_k_norm.weight")),),
    optional_outside=(),
    shapes={"attn_q_norm.weight": ("heads", "head"), "attn_k_norm.weight": ("kv_heads", "head")},
    foldings=foldings.PARALLEL,
)


def _refuse_biases(model: Model) -> None:
    """Refuse biases that are not zero, which llama.cpp's Cohere 2 does not have."""
    for info in model.infos.values():
        if info.name.endswith(".bias") and np.any(model.read(info.name)):
            raise UnsupportedError(
                f"{shown(info.name)} of {info.file} is not zero, but llama.cpp has Cohere 2 without biases; take a "
                "model without biases."
            )


COHERE2 = replace(
    COHERE,
    architecture="cohere2",
    metadata=(
        *(*COMMON, _LOGIT_SCALE),
        U32("{arch}.attention.sliding_window", "sliding_window"),
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.rope.dimension_count", value=rotated(1.0, "rotary_pct")),
        _NO_SCALING,
    ),
    demands=(
        *(demands.LAYER_NORM, *demands.HEADS, Demand("logit_scale", ValueType.FLOAT32, required=True)),
        Demand("attention.sliding_window", required=True),
    ),
    optional=(),
    namings=(leave_out(r"\.bias$"),),
    check=_refuse_biases,
)
