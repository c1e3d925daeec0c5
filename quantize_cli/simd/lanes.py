"""Blocks side by side: the layout in which the searches run.

Lane l of every vector belongs to block `first + l`, and element i of the blocks in the lanes is the vector at
[i * LANES] of a flat buffer. Each lane walks its own block in element order, and no lane waits for another. What was
measured on the way is in docs/kernels.md.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.vector import LANES, TILE, move_transposed

#: A flat float32 buffer of vectors.
Lanes: TypeAlias = NDArray[np.float32]

#: Bytes of a cache line, and of the widest register.
_LINE = 64
_LINE_OF_FLOATS = _LINE // 4


@maker
def new_lanes(vectors: int) -> Lanes:
    """Allocate that many vectors, aligned: a register's load from two cache lines takes twice as long."""
    room = np.empty(vectors * LANES + _LINE_OF_FLOATS, np.float32)
    start = -(room.ctypes.data // 4) % _LINE_OF_FLOATS
    return room[start : start + vectors * LANES]


@inner
def _load_slowly(blocks: NDArray[np.float32], first: int, count: int, column: int, x: Lanes) -> None:
    """Put a cache line of each of `count` blocks, which may start again, into lanes, and zeros up to TILE of them."""
    for lane in range(TILE):
        row = (first + lane) % blocks.shape[0]
        for i in range(_LINE_OF_FLOATS):
            x[i * LANES + lane] = blocks[row, column + i] if lane < count else np.float32(0)


@inner
def load_lanes(blocks: NDArray[np.float32], first: int, count: int, x: Lanes) -> None:
    """Put `count` <= LANES blocks, from number `first` on, into lanes, and zeros into the other lanes.

    Args:
        blocks: float32[n, size], size a multiple of 16. Number n is number 0 again: so the importance of one row of
            blocks serves every row.
        first: number of the block in lane 0.
        count: number of blocks.
        x: receives them, flat float32[size * LANES].
    """
    rows, size = blocks.shape
    values = blocks.reshape(-1)
    start = first % rows
    for column in range(0, size, _LINE_OF_FLOATS):
        for lane in range(0, LANES, TILE):
            row = start + lane if start + lane < rows else (start + lane) % rows
            at = column * LANES + lane
            if lane + TILE <= count and row + TILE <= rows:
                for i in range(0, _LINE_OF_FLOATS, TILE):
                    move_transposed(values, row * size + column + i, size, x, at + i * LANES)
            else:
                _load_slowly(blocks, start + lane, min(TILE, count - lane), column, x[at:])


@inner
def store_lane(vectors: NDArray[np.uint8], lane: int, count: int, out: NDArray[np.uint8], start: int) -> None:
    """Write the bytes that `count` vectors of bytes hold in a lane, from out[start] on."""
    for i in range(count):
        out[start + i] = vectors[i * LANES + lane]
