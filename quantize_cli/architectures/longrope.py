"""LongRoPE: rotation frequencies with factors of their own for long contexts (Phi-3, Phi-4, MiniCPM 3)."""

from __future__ import annotations

import math

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.errors import CheckpointError, UnsupportedError, shown


def original_context(model: Model) -> int:
    """Return the context that the model was trained with at first."""
    return main_parameters(model.rope).required("original_max_position_embeddings")


def attention_factor(model: Model) -> float | None:
    """Return the factor by which a longer context scales attention, or None if there are no factors.

    Raises:
        UnsupportedError: The kind of scaling is unknown.
    """
    rope = main_parameters(model.rope)
    if not rope.get("long_factor"):
        return None
    kind, original = (rope.text("rope_type") or "").lower(), original_context(model)
    scale = model.config.required("n_positions", "max_position_embeddings") / original
    if kind in ("su", "longrope"):
        return math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 and original > 1 else 1.0
    if kind == "yarn":
        return 0.1 * math.log(scale) + 1.0 if scale > 1 else 1.0
    raise UnsupportedError(
        f"{rope.where} gives factors for long contexts with rope_type {shown(kind)}, which llama.cpp does not know; "
        "take another model, or correct rope_type to longrope."
    )


def factor_tensors(model: Model, rotated: int) -> tuple[TensorRecipe, ...]:
    """Return the factors for long and short contexts as tensors, if there are any.

    Args:
        model: The model.
        rotated: Rows of a head that are rotated; there is a factor for each pair of them.

    Raises:
        CheckpointError: There are more or fewer factors, or they are not numbers.
    """
    rope = main_parameters(model.rope)
    if not rope.get("long_factor"):
        return ()
    return tuple(_factors(model, kind, rotated // 2) for kind in ("long", "short"))


def _factors(model: Model, kind: str, count: int) -> TensorRecipe:
    rope = main_parameters(model.rope)
    values = rope.get(f"{kind}_factor")
    if not isinstance(values, list) or len(values) != count or not all(type(value) in (int, float) for value in values):
        raise CheckpointError(
            f"{rope.where} gives {kind}_factor of rope as {shown(values)}, but it must be a list of {count} numbers, "
            "one for each pair of rotated rows; take the config.json of the model again."
        )
    return TensorRecipe(
        f"rope_factors_{kind}.weight", (count,), (), values=tuple(map(float, values)), stored_type="F32"
    )
