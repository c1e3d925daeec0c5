"""Limits of the gates and other projections of SwiGLU, the same in all layers."""

from __future__ import annotations

from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY
from quantize_cli.gguf_file.fields import ValueType


def _limits(model: Model) -> list[float] | None:
    limit = model.config.number("swiglu_limit")
    return None if limit is None else [limit] * model.blocks


SWIGLU_LIMITS = tuple(
    ARRAY(ValueType.FLOAT32, f"{{arch}}.swiglu_clamp_{experts}", value=_limits) for experts in ("exp", "shexp")
)
