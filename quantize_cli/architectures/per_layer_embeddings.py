"""Embeddings of their own for each layer, beside the common one (Gemma 3n, the small ones of Gemma 4)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.family import Part
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Named, Size, product

#: GGUF names of the tensors outside the layers.
OUTSIDE = ("per_layer_token_embd.weight", "per_layer_model_proj.weight", "per_layer_proj_norm.weight")
PER_LAYER_INPUT = Part(("inp_gate.weight", "proj.weight", "post_norm.weight"))

PER_LAYER_SIZES: Mapping[str, Size] = {
    "layers": lambda sizes: sizes.model.layers,
    "per_layer": Named("hidden_size_per_layer_input"),
    "all_layers": product("layers", "per_layer"),
}
PER_LAYER_SHAPES: Mapping[str, Shape] = {
    "per_layer_token_embd.weight": ("vocab", "all_layers"),
    "per_layer_model_proj.weight": ("all_layers", "hidden"),
    "per_layer_proj_norm.weight": ("per_layer",),
    "inp_gate.weight": ("per_layer", "hidden"),
    "proj.weight": ("hidden", "per_layer"),
    "post_norm.weight": ("hidden",),
}
