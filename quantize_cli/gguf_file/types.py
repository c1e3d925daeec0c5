"""The tensor types of GGML as static facts, so that planning does not need a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class UseOfImportance(Enum):
    """The way in which a type uses an importance matrix."""

    NONE = "none"  #: the bytes do not depend on it
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class GgmlType:
    """One tensor type."""

    number: int  #: as files number it (ggml.h, `enum ggml_type`)
    name: str  #: "Q4_K"
    block_size: int  #: elements in a block; 1 for plain types
    block_bytes: int
    importance: UseOfImportance = UseOfImportance.NONE
    writable: bool = True  #: whether weights can be quantized to it; the others are only copied

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight, scales included."""
        return self.block_bytes * 8 / self.block_size

    @property
    def quantized(self) -> bool:
        """Whether it stores blocks of weights, not single ones."""
        return self.block_size > 1

    def row_bytes(self, columns: int) -> int:
        """Return the bytes of a row of `columns` elements, a multiple of the block size."""
        return columns // self.block_size * self.block_bytes


_OPTIONAL = UseOfImportance.OPTIONAL
_REQUIRED = UseOfImportance.REQUIRED

#: Every type that GGML has (ggml-common.h). The types that can be written stand in the order of their bits per weight.
_TYPES = (
    GgmlType(0, "F32", 1, 4),
    GgmlType(30, "BF16", 1, 2),
    GgmlType(1, "F16", 1, 2),
    GgmlType(8, "Q8_0", 32, 34),
    GgmlType(14, "Q6_K", 256, 210, _OPTIONAL),
    GgmlType(7, "Q5_1", 32, 24, _OPTIONAL),
    GgmlType(13, "Q5_K", 256, 176, _OPTIONAL),
    GgmlType(6, "Q5_0", 32, 22, _OPTIONAL),
    GgmlType(3, "Q4_1", 32, 20, _OPTIONAL),
    GgmlType(12, "Q4_K", 256, 144, _OPTIONAL),
    GgmlType(2, "Q4_0", 32, 18, _OPTIONAL),
    GgmlType(20, "IQ4_NL", 32, 18, _OPTIONAL),
    GgmlType(40, "NVFP4", 64, 36),
    GgmlType(23, "IQ4_XS", 256, 136, _OPTIONAL),
    GgmlType(39, "MXFP4", 32, 17),
    GgmlType(11, "Q3_K", 256, 110, _OPTIONAL),
    GgmlType(21, "IQ3_S", 256, 110, _OPTIONAL),
    GgmlType(18, "IQ3_XXS", 256, 98, _OPTIONAL),
    GgmlType(10, "Q2_K", 256, 84, _OPTIONAL),
    GgmlType(22, "IQ2_S", 256, 82, _OPTIONAL),
    GgmlType(17, "IQ2_XS", 256, 74, _REQUIRED),
    GgmlType(42, "Q2_0", 64, 18),
    GgmlType(35, "TQ2_0", 256, 66),
    GgmlType(16, "IQ2_XXS", 256, 66, _REQUIRED),
    GgmlType(29, "IQ1_M", 256, 56, _OPTIONAL),
    GgmlType(34, "TQ1_0", 256, 54),
    GgmlType(19, "IQ1_S", 256, 50, _REQUIRED),
    GgmlType(41, "Q1_0", 128, 18),
    GgmlType(9, "Q8_1", 32, 36, writable=False),
    GgmlType(15, "Q8_K", 256, 292, writable=False),
    GgmlType(24, "I8", 1, 1, writable=False),
    GgmlType(25, "I16", 1, 2, writable=False),
    GgmlType(26, "I32", 1, 4, writable=False),
    GgmlType(27, "I64", 1, 8, writable=False),
    GgmlType(28, "F64", 1, 8, writable=False),
)

#: GGML name -> type.
GGML_TYPES: dict[str, GgmlType] = {held.name: held for held in _TYPES}

#: Number in a file -> type.
TYPES_BY_NUMBER: dict[int, GgmlType] = {held.number: held for held in _TYPES}

#: The types that weights can be quantized to, from the most bits per weight to the fewest.
WRITABLE_TYPES: dict[str, GgmlType] = {held.name: held for held in _TYPES if held.writable}
