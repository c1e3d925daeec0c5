"""Where blocks hold the numbers that may be infinite or NaN: their scales, or the weights of plain types.

The places are those of ggml/src/ggml-common.h. Types without an entry cannot hold such numbers: NVFP4, whose scales are
finite whatever their bits are, and integers.
"""

from __future__ import annotations

from typing import NamedTuple


class Exponent(NamedTuple):
    """The exponent of a number in a block; if all of its bits are set, the number is infinite or NaN."""

    place: int  #: of the number, in bytes from the start of the block
    nbytes: int  #: size of the number, which is little-endian
    bits: int  #: the exponent's bits in the number


def _half(place: int) -> Exponent:
    return Exponent(place, 2, 0x7C00)


_F32 = Exponent(0, 4, 0x7F80_0000)
_FIRST = (_half(0),)
_FIRST_TWO = (_half(0), _half(2))

#: GGML name of the type -> the numbers of a block.
EXPONENTS: dict[str, tuple[Exponent, ...]] = {
    "F64": (Exponent(0, 8, 0x7FF0_0000_0000_0000),),
    "F32": (_F32,),
    "F16": _FIRST,
    "BF16": (Exponent(0, 2, 0x7F80),),
    "Q8_0": _FIRST,
    "Q8_1": _FIRST_TWO,
    "Q8_K": (_F32,),
    "Q5_1": _FIRST_TWO,
    "Q5_0": _FIRST,
    "Q4_1": _FIRST_TWO,
    "Q4_0": _FIRST,
    "Q2_0": _FIRST,
    "Q1_0": _FIRST,
    "Q6_K": (_half(208),),
    "Q5_K": _FIRST_TWO,
    "Q4_K": _FIRST_TWO,
    "Q3_K": (_half(108),),
    "Q2_K": (_half(80), _half(82)),
    "IQ4_NL": _FIRST,
    "IQ4_XS": _FIRST,
    "IQ3_S": _FIRST,
    "IQ3_XXS": _FIRST,
    "IQ2_S": _FIRST,
    "IQ2_XS": _FIRST,
    "IQ2_XXS": _FIRST,
    "IQ1_S": _FIRST,
    # The scale has the upper four bits of each of four 16-bit numbers; its exponent's are in the last two.
    "IQ1_M": (Exponent(52, 4, 0x7000_C000),),
    "TQ2_0": (_half(64),),
    "TQ1_0": (_half(52),),
    "MXFP4": (Exponent(0, 1, 0xFF),),
}
