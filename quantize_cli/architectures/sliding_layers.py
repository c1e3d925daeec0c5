"""Layers that attend to a window, by `layer_types` of config.json."""

from __future__ import annotations

from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY
from quantize_cli.gguf_file.fields import ValueType


def slides(model: Model) -> list[bool]:
    """Return whether each layer attends to a window; an empty list if config.json does not tell."""
    return [kind == "sliding_attention" for kind in model.layer_types() or ()]


SLIDING_PATTERN = ARRAY(ValueType.BOOL, "{arch}.attention.sliding_window_pattern", value=slides)
