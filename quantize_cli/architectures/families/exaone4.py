"""EXAONE 4 and 4.5: norms behind both halves of a layer; in larger models, most layers attend to a window."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import MTP, MTP_NAMINGS, OWN_MTP_HEAD, appended_mtp_layers, stored_mtp_layers
from quantize_cli.architectures.parts import FFN, POST_NORMS, PROJECTIONS, QK_NORM
from quantize_cli.architectures.rows import ARRAY, U32
from quantize_cli.errors import UnsupportedError
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
    foldings=foldings.POST_NORMS,
)

_MTP_LAYER = (PROJECTIONS, QK_NORM, POST_NORMS, FFN, MTP)


def _refuse_several(model: Model) -> None:
    """Refuse several MTP layers, which share tensors that are stored once."""
    if model.extra_layers > 1:
        raise UnsupportedError(
            f"{model.config.where} gives num_nextn_predict_layers as {model.extra_layers}, but only one MTP layer can "
            "be converted; take another variant of the model."
        )


#: llama.cpp keeps the MTP layer and does not run it.
EXAONE4_5 = replace(
    EXAONE4,
    metadata=(*EXAONE4.metadata, U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None)),
    parts=(*EXAONE4.parts, *(part.among(stored_mtp_layers) for part in _MTP_LAYER)),
    optional=(OWN_MTP_HEAD.among(stored_mtp_layers),),
    namings=MTP_NAMINGS,
    extra_layers=appended_mtp_layers,
    check=_refuse_several,
)
