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

#: Floats of a cache line, and of the widest register.
_LINE = 16


@maker
def aligned_floats(size: int) -> NDArray[np.float32]:
    """Allocate float32[size], aligned: a register's load from two cache lines takes twice as long."""
    room = np.empty(size + _LINE, np.float32)
    start = -(room.ctypes.data // 4) % _LINE
    return room[start : start + size]


@maker
def new_lanes(vectors: int) -> Lanes:
    """Allocate that many vectors, aligned."""
    return aligned_floats(vectors * LANES)


@inner
def load_lanes(blocks: NDArray[np.float32], first: int, count: int, x: Lanes) -> None:
    """Put `count` <= LANES blocks, from number `first` on, into lanes, and zeros into the other lanes.

    Args:
        blocks: float32[n, size], size a multiple of TILE. Number n is number 0 again: so the importance of one row of
            blocks serves every row.
        first: number of the block in lane 0.
        count: number of blocks.
        x: receives them, flat float32[size * LANES].
    """
    rows, size = blocks.shape
    values = blocks.reshape(-1)
    for lane in range(0, LANES, TILE):
        start = (first + lane) % rows * size
        if lane + TILE <= count and start + TILE * size <= values.size:
            for i in range(0, size, TILE):
                move_transposed(values, start + i, size, x, i * LANES + lane)
        else:
            for k in range(lane, lane + TILE):
                start = (first + k) % rows * size
                for i in range(size):
                    x[i * LANES + k] = values[start + i] if k < count else np.float32(0)


@inner
def store_lane(vectors: NDArray[np.uint8], lane: int, count: int, out: NDArray[np.uint8], start: int) -> None:
    """Write the bytes that `count` vectors of bytes hold in a lane, from out[start] on."""
    for i in range(count):
        out[start + i] = vectors[i * LANES + lane]
