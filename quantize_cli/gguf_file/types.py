"""The tensor types of GGML: number, name, and how many bytes hold how many elements."""

from __future__ import annotations

from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES


@dataclass(frozen=True, slots=True)
class TensorType:
    """One type as files number it."""

    number: int
    name: str  #: as in FORMATS: "Q4_K"
    block_size: int  #: elements in a block; 1 for plain types
    block_bytes: int

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row of `columns` elements, a multiple of the block size."""
        return columns // self.block_size * self.block_bytes


#: What the `gguf` package does not know, in some of its versions, or gives another size than GGML (ggml-common.h).
_CORRECTED = (
    TensorType(9, "Q8_1", 32, 36),
    TensorType(40, "NVFP4", 64, 36),
    TensorType(41, "Q1_0", 128, 18),
    TensorType(42, "Q2_0", 64, 18),
)

#: Number in a file -> type, for every type that GGML has.
TENSOR_TYPES: dict[int, TensorType] = {
    **{int(held): TensorType(int(held), held.name, *size) for held, size in GGML_QUANT_SIZES.items()},
    **{held.number: held for held in _CORRECTED},
}

#: The same by name.
TYPES_BY_NAME: dict[str, TensorType] = {held.name: held for held in TENSOR_TYPES.values()}
