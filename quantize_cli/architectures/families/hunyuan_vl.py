"""Hunyuan-OCR and its kin: Hunyuan's dense decoder with rope in four dimensions, whose base llama.cpp scales itself."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.hunyuan import HUNYUAN_DENSE
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY, F32, STR, U32, Source
from quantize_cli.gguf_file.fields import ValueType


def _sections(model: Model) -> list[int] | None:
    return model.rope.naturals("mrope_section", "xdrope_section")


def _if_sections(value: Source) -> Source:
    return lambda model: None if _sections(model) is None else value(model) if callable(value) else value


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
    foldings=(),
)
