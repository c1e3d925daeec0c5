"""What a block format is: a name, a fixed layout, and two kernels over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """One GGML tensor type.

    quantize(rows f32[n, k], out u8[n, row_bytes(k)]) and dequantize(packed u8[n, row_bytes(k)], out f32[n, k])
    take C-contiguous arrays whose k is a multiple of `block_size`; rows are independent of one another.
    """

    type: GGMLQuantizationType
    block_size: int  #: weights in a block
    block_bytes: int
    quantize: Callable[[Rows, Packed], None]
    dequantize: Callable[[Packed, Rows], None]

    @property
    def name(self) -> str:
        """GGML's name: "Q4_K"."""
        return self.type.name

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight, scales included."""
        return self.block_bytes * 8 / self.block_size

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row of `columns` weights (a multiple of the block size)."""
        return columns // self.block_size * self.block_bytes
