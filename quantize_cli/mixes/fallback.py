"""What a tensor gets whose rows are not whole blocks of its type (src/llama-quant.cpp, `tensor_type_fallback`)."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.mixes.base import Choice

#: Type with larger blocks -> type with blocks of 32.
FALLBACKS = {
    "IQ1_S": "IQ4_NL",
    "IQ1_M": "IQ4_NL",
    "IQ2_XXS": "IQ4_NL",
    "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0",
    "Q2_0": "Q4_0",
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
#: The type for rows whose length is not a multiple of 32.
LAST_RESORT = "F16"


def fits(type_name: str, columns: int) -> bool:
    """Tell whether rows of `columns` weights are whole blocks."""
    return columns % GGML_TYPES[type_name].block_size == 0


def fitted(wanted: Choice, name: str, columns: int) -> Choice:
    """Return `wanted`, or what replaces it in tensor `name` with rows of `columns` weights.

    Raises:
        UsageError: The type's blocks are larger than 32, and no type replaces it.
    """
    if fits(wanted.type, columns):
        return wanted
    block = GGML_TYPES[wanted.type].block_size
    if wanted.type not in FALLBACKS and block > 32:
        raise UsageError(
            f"{name} has rows of {columns} weights, which is not a multiple of {block}, the block size of "
            f"{wanted.type}, and no other type replaces {wanted.type}; choose another format, or another type for this "
            "tensor."
        )
    substitute = FALLBACKS.get(wanted.type, wanted.type)
    fitting = substitute if fits(substitute, columns) else LAST_RESORT
    ruled_out = wanted.instead_of or wanted.type
    reason = f"{columns} columns are not a multiple of {block}: {fitting} instead of {ruled_out}"
    return Choice(fitting, reason, instead_of=ruled_out)
