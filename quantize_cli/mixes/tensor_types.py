"""The types that a tensor can be given, by GGML name."""

from __future__ import annotations

from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.types import TYPES_BY_NAME

_NAMES = (
    "F32", "BF16", "F16", "Q8_0", "Q6_K", "Q5_1", "Q5_K", "Q5_0", "Q4_1", "Q4_K", "Q4_0", "IQ4_NL", "NVFP4", "IQ4_XS",
    "MXFP4", "Q3_K", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "Q2_0", "TQ2_0", "IQ2_XXS", "IQ1_M", "TQ1_0",
    "IQ1_S", "Q1_0",
)  # fmt: skip
#: GGML name -> weights in a block, from the most bits a weight to the fewest.
BLOCK_SIZES: dict[str, int] = {name: TYPES_BY_NAME[name].block_size for name in _NAMES}


def is_quantized(type_name: str) -> bool:
    """Whether the type stores blocks of weights, not single ones."""
    return BLOCK_SIZES[type_name] > 1


def find_type(name: str) -> str:
    """The GGML name that `name` is, in any case.

    Raises:
        UsageError: there is no such type.
    """
    if name.upper() not in BLOCK_SIZES:
        raise UsageError(f"Unknown type {name!r}: choose one of {', '.join(BLOCK_SIZES).lower()}.")
    return name.upper()
