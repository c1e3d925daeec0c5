"""Gemma 4 Unified: Gemma 4 with tokens that it must not generate."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.families.gemma4 import GEMMA4
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY
from quantize_cli.checkpoints.sidecars import read_object
from quantize_cli.gguf_file.fields import ValueType


def _suppressed(model: Model) -> list[int] | None:
    if not model.sidecars.has("generation_config.json"):
        return None
    where = model.sidecars.where("generation_config.json")
    return Config(where, read_object(model.sidecars, "generation_config.json")).naturals("suppress_tokens")


GEMMA4_UNIFIED = replace(
    GEMMA4,
    metadata=(*GEMMA4.metadata, ARRAY(ValueType.INT32, "tokenizer.ggml.suppress_tokens", value=_suppressed)),
)
