"""What a block format is: a name, a fixed layout, and two kernels over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]
#: What kernels work on: float32[blocks, block_size] and uint8[blocks, block_bytes]. Their last axis is a run-time value
#: to the compiler; a loop over a number of steps that it knows would be unrolled before it could be vectorised.
Blocks = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """One GGML tensor type: its layout, and the kernels `pack` and `unpack`; blocks are independent of one another."""

    type: GGMLQuantizationType
    block_size: int  #: weights in a block
    block_bytes: int
    pack: Callable[[Blocks, Packed], None]
    unpack: Callable[[Packed, Blocks], None]

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

    def quantize(self, rows: Rows, out: Packed) -> None:
        """C-contiguous rows float32[n, k], k a multiple of the block size -> out uint8[n, row_bytes(k)]."""
        self.pack(rows.reshape(-1, self.block_size), out.reshape(-1, self.block_bytes))

    def dequantize(self, packed: Packed, out: Rows) -> None:
        """C-contiguous rows uint8[n, row_bytes(k)] -> out float32[n, k]."""
        self.unpack(packed.reshape(-1, self.block_bytes), out.reshape(-1, self.block_size))
