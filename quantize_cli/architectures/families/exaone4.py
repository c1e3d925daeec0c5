"""EXAONE 4: norms behind both halves of a layer; in larger models, most layers attend to a window."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import FFN, POST_NORMS, PROJECTIONS, QK_NORM
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE


def _pattern(model: Model) -> list[bool] | None:
    """Return which layers attend to a window."""
    if model.config.get("sliding_window") is None:
        return None
    pattern = model.config.get("sliding_window_pattern")
    if (kinds := model.layer_types()) is not None:
        return [kind == "sliding_attention" for kind in kinds]
    if isinstance(pattern, str) and pattern:  # such as LLLG: local and global layers
        return [pattern[number % len(pattern)] == "L" for number in range(model.layers)]
    every = model.config.integer("sliding_window_pattern")
    return None if not every else [number % every != 0 for number in range(1, model.layers + 1)]


EXAONE4 = Family(
    architecture="exaone4",
    metadata=(
        *COMMON,
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.attention.sliding_window", "sliding_window"),
        ARRAY(ValueType.BOOL, "{arch}.attention.sliding_window_pattern", value=_pattern),
    ),
    demands=(*demands.ATTENTION, demands.VOCABULARY),
    vocabulary=BPE,
    parts=(PROJECTIONS, QK_NORM, POST_NORMS, FFN),
    computed=LLAMA.computed,
)
