"""What a tensor gets whose rows its type's blocks do not divide (src/llama-quant.cpp, `tensor_type_fallback`)."""

from __future__ import annotations

from quantize_cli.formats import FORMATS

#: Type with super-blocks of 256 -> type with blocks of 32; what has no entry keeps its type.
FALLBACKS = {
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "IQ4_XS": "IQ4_NL",
}
#: Where not even blocks of 32 fit.
LAST_RESORT = "F16"


def fitting_type(wanted: str, columns: int) -> str:
    """`wanted`, or what stands in for it in a tensor with rows of `columns` weights."""
    for candidate in (wanted, FALLBACKS.get(wanted, wanted)):
        if columns % FORMATS[candidate].block_size == 0:
            return candidate
    return LAST_RESORT
