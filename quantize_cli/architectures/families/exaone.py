"""EXAONE 3 and 3.5: Llama's decoder with heads in the order of halves."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.tokenizers.vocabularies import BPE

#: llama.cpp needs it, and EXAONE's config.json has it under the name of another norm.
_EPSILON = F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", "layer_norm_epsilon")


def _rotated(model: Model) -> int:
    share, config = model.rope.number("partial_rotary_factor"), model.config
    head = config.required("hidden_size") // config.required("num_attention_heads")
    return int((1.0 if share is None else share) * head)


EXAONE = Family(
    architecture="exaone",
    metadata=(
        *(_EPSILON if row.key == _EPSILON.key else row for row in COMMON),
        U32("{arch}.rope.dimension_count", value=_rotated),
    ),
    demands=demands.ATTENTION,
    vocabulary=BPE,
    parts=(ATTENTION, FFN_NORM, FFN),
    computed=LLAMA.computed,
    foldings=foldings.USUAL,
)
