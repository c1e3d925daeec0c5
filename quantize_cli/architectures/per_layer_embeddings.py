"""Embeddings of their own for each layer, beside the common one (Gemma 3n, the small ones of Gemma 4)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.family import Part
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Size, product
from quantize_cli.errors import CheckpointError

#: GGUF names of the tensors outside the layers.
OUTSIDE = ("per_layer_token_embd.weight", "per_layer_model_proj.weight", "per_layer_proj_norm.weight")
PER_LAYER_INPUT = Part(("inp_gate.weight", "proj.weight", "post_norm.weight"))

PER_LAYER_SIZES: Mapping[str, Size] = {
    "layers": lambda sizes: sizes.model.layers,
    "per_layer": lambda sizes: sizes.model.config.natural("hidden_size_per_layer_input") or None,
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


def check_outside(model: Model) -> None:
    """Check that a model has the tensors outside the layers.

    Raises:
        CheckpointError: One is missing.
    """
    for name in ("embed_tokens_per_layer", "per_layer_model_projection", "per_layer_projection_norm"):
        if not any(info.endswith(f"{name}.weight") for info in model.infos):
            raise CheckpointError(
                f"{model.name} lacks '{name}.weight', which {model.config.where} asks for by "
                "hidden_size_per_layer_input; download the missing files, or save the whole model."
            )
