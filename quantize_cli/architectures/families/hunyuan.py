"""Hunyuan, dense, and its models for images: norms on queries and keys, and rotation scaled for long contexts."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, leave_out_tied_head
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM, OUTPUT_BIAS, QK_NORM, QKV_BIAS
from quantize_cli.architectures.rows import ARRAY, F32, STR, U32, Source
from quantize_cli.architectures.sizes import head_size
from quantize_cli.errors import UnsupportedError
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import HUNYUAN_DENSE as VOCABULARY

#: The context that the scaled base serves; config.json may give the one before it was scaled.
_CONTEXT = 256 * 1024
_BASE = 10000.0
#: Some config.json count the feed-forward network as an expert.
_WITHOUT = ("{arch}.expert_count",)


def _sections(model: Model) -> list[int] | None:
    """Return the sections of rope, which models for images have."""
    return model.rope.naturals("mrope_section", "xdrope_section")


def _is_scaled(model: Model) -> bool:
    return model.rope.text("rope_type") == "dynamic" and _sections(model) is None


def _if_scaled(value: float | str) -> Source:
    return lambda model: value if _is_scaled(model) else None


def _scaled_base(model: Model) -> float | None:
    if not _is_scaled(model):
        return None
    alpha, head = model.rope.number("alpha"), head_size(model) or 0
    return _BASE * (50.0 if alpha is None else alpha) ** (head / (head - 2)) if head > 2 else None


def _refuse_other_scaling(model: Model) -> None:
    """Refuse what the reference refuses: the context that the scaled base serves is known for one base only."""
    base, context = model.rope.number("rope_theta"), model.config.integer("max_position_embeddings")
    if _is_scaled(model) and (base not in (None, _BASE) or context not in (_CONTEXT // 8, _CONTEXT)):
        raise UnsupportedError(
            f"{model.config.where} scales rope dynamically with rope_theta {base} and max_position_embeddings "
            f"{context}, but it is known for {_BASE:g} and for {_CONTEXT // 8} or {_CONTEXT} only; take another model."
        )


HUNYUAN_DENSE = Family(
    architecture="hunyuan-dense",
    metadata=(
        *(row for row in COMMON if row.key not in _WITHOUT),
        F32("{arch}.rope.freq_base", value=_scaled_base),
        STR("{arch}.rope.scaling.type", value=_if_scaled("none")),
        F32("{arch}.rope.scaling.factor", value=_if_scaled(1.0)),
        U32("{arch}.rope.scaling.original_context_length", value=_if_scaled(_CONTEXT)),
        U32("{arch}.context_length", value=_if_scaled(_CONTEXT)),
    ),
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, QK_NORM, FFN_NORM, FFN),
    optional=(QKV_BIAS, OUTPUT_BIAS),
    namings=(leave_out_tied_head,),
    check=_refuse_other_scaling,
)


def _if_sections(value: Source) -> Source:
    return lambda model: None if _sections(model) is None else value(model) if callable(value) else value


#: llama.cpp scales the base itself here.
HUNYUAN_VL = replace(
    HUNYUAN_DENSE,
    architecture="hunyuan_vl",
    metadata=(
        *HUNYUAN_DENSE.metadata,
        STR("{arch}.rope.scaling.type", value=_if_sections("none")),
        F32("{arch}.rope.scaling.factor", value=_if_sections(lambda model: model.rope.number("factor") or 1.0)),
        F32("{arch}.rope.scaling.alpha", value=_if_sections(lambda model: model.rope.number("alpha"))),
        U32(
            "{arch}.rope.scaling.original_context_length",
            value=_if_sections(lambda model: model.config.integer("max_position_embeddings")),
        ),
        ARRAY(ValueType.INT32, "{arch}.rope.dimension_sections", value=_sections),
    ),
    demands=(*demands.ATTENTION, Demand("rope.dimension_sections", ValueType.INT32, items=4)),
)
