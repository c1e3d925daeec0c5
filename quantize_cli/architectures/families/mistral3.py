"""Mistral 3 and Ministral 3: Llama's decoder, whose attention may be scaled by the length of the text."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.families.mistral4 import MISTRAL4
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import F32, Source
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import MISTRAL3 as VOCABULARY


def _of_ministral(name: str) -> Source:
    """Return a number of rope's parameters, which only Ministral 3 has."""

    def value(model: Model) -> float | None:
        ministral = model.config.text("model_type") == "ministral3"
        return main_parameters(model.rope).number(name) if ministral else None

    return value


def _variant(_family: Family, model: Model) -> Family | None:
    return MISTRAL4 if model.config.text("model_type") == "mistral4" else None


MISTRAL3 = replace(
    LLAMA,
    architecture="mistral3",
    metadata=(
        *LLAMA.metadata,
        F32("{arch}.rope.scaling.yarn_log_multiplier", value=_of_ministral("mscale_all_dim")),
        F32("{arch}.attention.temperature_scale", value=_of_ministral("llama_4_scaling_beta")),
    ),
    demands=(*LLAMA.demands, Demand("attention.temperature_scale", ValueType.FLOAT32, least=None)),
    vocabulary=VOCABULARY,
    special=_variant,
)
