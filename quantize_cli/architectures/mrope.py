"""Rope in three dimensions, by which models of images and sound tell time, height and width apart."""

from __future__ import annotations

from quantize_cli.architectures.demands import Demand
from quantize_cli.gguf_file.fields import ValueType

#: llama.cpp does not load these architectures without the sections.
SECTIONS = Demand("rope.dimension_sections", ValueType.INT32, required=True, items=4)
