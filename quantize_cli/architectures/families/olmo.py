"""OLMo 1, whose norms have no weights; OLMo 2, 3 and OLMoE: norms behind halves of layers, of all queries and keys."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, POST_NORMS, PROJECTIONS, QK_NORM
from quantize_cli.architectures.rows import ARRAY, F32, U32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _pattern(model: Model) -> list[bool] | None:
    """Return which layers attend to a window: OLMo 3's three of four; OLMo 2 does not have a window."""
    if "sliding_window" not in model.config.values:
        return None
    kinds = model.layer_types()
    if kinds is None:
        return [number % 4 != 0 for number in range(1, model.layers + 1)]
    return [kind == "sliding_attention" for kind in kinds]


_QK_NORM_SHAPES = {"attn_q_norm.weight": ("query",), "attn_k_norm.weight": ("key",)}
_UNTIED = ("token_embd.weight", "output_norm.weight", "output.weight")

OLMO2 = Family(
    architecture="olmo2",
    metadata=(
        *COMMON,
        U32("{arch}.attention.sliding_window", "sliding_window"),
        ARRAY(ValueType.BOOL, "{arch}.attention.sliding_window_pattern", value=_pattern),
    ),
    demands=demands.ATTENTION,
    vocabulary=BPE,
    parts=(PROJECTIONS, QK_NORM, POST_NORMS, FFN),
    outside=_UNTIED,
    shapes=_QK_NORM_SHAPES,
    foldings=foldings.POST_NORMS,
)

OLMOE = Family(
    architecture="olmoe",
    metadata=(*COMMON, F32("{arch}.attention.layer_norm_rms_epsilon", value=1e-5)),
    demands=(*demands.ATTENTION, *demands.EXPERTS),
    vocabulary=BPE,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN),
    outside=_UNTIED,
    rules=STACKED_EXPERTS,
    shapes=_QK_NORM_SHAPES,
    foldings=(*foldings.NORMS, *foldings.UP),
)

OLMO = Family(
    architecture="olmo",
    metadata=(
        *COMMON,
        F32("{arch}.attention.layer_norm_epsilon", value=1e-5),
        F32("{arch}.attention.clamp_kqv", "clip_qkv"),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS, Demand("attention.clamp_kqv", ValueType.FLOAT32)),
    vocabulary=BPE,
    parts=(PROJECTIONS, FFN),
    outside=_UNTIED[:1],
    rules=LLAMA.rules[:1],
    foldings=foldings.UP,
)
