"""Tensors of rotation factors that are computed from config.json."""

from __future__ import annotations

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.errors import CheckpointError


def longrope_factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    """Return the tensors of a model with LongRoPE: factors for long and for short texts.

    Raises:
        CheckpointError: config.json lacks one of the two, or they are not as many as rotated pairs.
    """
    rope = main_parameters(sizes.model.rope)
    found = {kind: rope.numbers(f"{kind}_factor") for kind in ("long", "short")}
    if not any(found.values()):
        return ()
    pairs = sizes.known("head") // 2
    for kind, factors in found.items():
        if factors is None or len(factors) != pairs:
            count = "none" if factors is None else f"{len(factors)}"
            raise CheckpointError(
                f"{rope.where} gives {count} of the factors {kind}_factor, but half a head is {pairs} wide; download "
                "it again."
            )
    return tuple(
        TensorRecipe(f"rope_factors_{kind}.weight", (pairs,), (), values=tuple(factors or ()), stored_type="F32")
        for kind, factors in found.items()
    )
