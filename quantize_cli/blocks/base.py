"""What a block type is: a name, a fixed layout, and two kernels over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gguf_file.types import GGML_TYPES, GgmlType, UseOfImportance

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]
#: What kernels work on: float32[blocks, block_size] and uint8[blocks, block_bytes]. Their last axis is a run-time value
#: to the compiler. It would unroll a loop over a number of steps that it knew, before it could vectorise it.
Blocks = NDArray[np.float32]
#: Weights of a super-block, the block of all types whose blocks have sub-blocks with quantized scales.
SUPER_BLOCK = 256
#: How much the error of each weight of a row counts, float32[blocks in a row, block_size]; the same for all rows.
Importance = NDArray[np.float32]


#: Two numbers of each block, float32[blocks, 2]: d and dmin, both values that float16 has; 0 where a type has no dmin.
Heads = NDArray[np.float32]
#: A number of each group of weights of each block, float32[blocks, groups], whole.
Groups = NDArray[np.float32]
#: The level of each weight, uint8[blocks, block_size], counted from 0.
Levels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Grid:
    """How the values of a type are made, for a method that chooses levels itself.

    A weight is d * scale * points[level] - dmin * low, in float32 and in this order, as `unpack` computes it. d and
    dmin belong to a block, scale and low to a group of its weights.
    """

    points: tuple[float, ...]  #: what each level stands for, ascending
    group: int  #: how many neighbouring weights share a scale and a low
    scales: tuple[int, int]  #: the least and the largest scale that can be stored; equal where it is not stored
    lows: tuple[int, int]  #: the same of lows: -1 where dmin is added as it is, 0 where there is none
    #: read(packed, heads, scales, lows, levels) takes blocks apart: uint8[blocks, block_bytes] into the other four.
    read: Callable[[Packed, Heads, Groups, Groups, Levels], None]
    #: write(heads, scales, lows, levels, packed) puts them together again; it rounds heads to float16.
    write: Callable[[Heads, Groups, Groups, Levels, Packed], None]


@dataclass(frozen=True, slots=True)
class BlockType:
    """One GGML tensor type and its kernels `pack` and `unpack`; blocks are independent of one another."""

    name: str  #: GGML's name: "Q4_K"
    pack: Callable[[Blocks, Importance | None, Packed], None]
    unpack: Callable[[Packed, Blocks], None]
    invalid_byte: tuple[int, int] | None = None  #: place and value of a byte in a block that no reader may meet
    grid: Grid | None = None  #: for the types whose levels can be chosen one by one

    @property
    def facts(self) -> GgmlType:
        """The type's row in the table of static facts."""
        return GGML_TYPES[self.name]

    @property
    def block_size(self) -> int:
        """Weights in a block."""
        return self.facts.block_size

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return self.facts.block_bytes

    @property
    def importance(self) -> UseOfImportance:
        """What the type makes of an importance matrix."""
        return self.facts.importance

    def row_bytes(self, columns: int) -> int:
        """Compute the bytes of a row of `columns` weights, a multiple of the block size."""
        return self.facts.row_bytes(columns)

    def quantize(self, rows: Rows, out: Packed, importance: NDArray[np.float32] | None = None) -> None:
        """Pack rows; the blocks of a row lie one behind another.

        Args:
            rows: C-contiguous float32[n, k], k a multiple of the block size.
            out: receives the packed rows, uint8[n, row_bytes(k)].
            importance: float32[k], finite; optional unless the type needs it, ignored by one that makes no use of it.

        Raises:
            ValueError: the type needs importance, and there is none.
        """
        if importance is None and self.importance is UseOfImportance.REQUIRED:
            raise ValueError(f"{self.name} needs importance")
        # One machine code for types that ignore it: the compiler makes another for every kind of argument.
        used = None if importance is None or self.importance is UseOfImportance.NONE else importance
        blocks = None if used is None else used.reshape(-1, self.block_size)
        self.pack(rows.reshape(-1, self.block_size), blocks, out.reshape(-1, self.block_bytes))

    def dequantize(self, packed: Packed, out: Rows) -> None:
        """Unpack C-contiguous rows uint8[n, row_bytes(k)] into out, float32[n, k]."""
        self.unpack(packed.reshape(-1, self.block_bytes), out.reshape(-1, self.block_size))

    def has_invalid_byte(self, packed: Packed) -> bool:
        """Tell whether a block of uint8[n, row_bytes(k)] has the byte that no block may have."""
        if self.invalid_byte is None:
            return False
        place, value = self.invalid_byte
        return bool((packed.reshape(-1, self.block_bytes)[:, place] == value).any())
