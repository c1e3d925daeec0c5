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
from quantize_cli.simd.vector import LANES

#: A flat float32 buffer of vectors.
Lanes: TypeAlias = NDArray[np.float32]

#: Elements that are moved together: a cache line of the source.
_TILE = 16
#: Bytes of a cache line, and of the widest register.
_LINE = 64


@maker
def aligned_floats(size: int) -> NDArray[np.float32]:
    """Allocate float32[size], aligned: a register's load from two cache lines takes twice as long."""
    line = _LINE // 4
    room = np.empty(size + line, np.float32)
    start = -(room.ctypes.data // 4) % line
    return room[start : start + size]


@maker
def new_lanes(vectors: int) -> Lanes:
    """Allocate that many vectors, aligned."""
    return aligned_floats(vectors * LANES)


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
    size = blocks.shape[1]
    for start in range(0, size, _TILE):
        tile = x[start * LANES : (start + _TILE) * LANES]
        for lane in range(count):
            block = blocks[(first + lane) % blocks.shape[0]]
            for i in range(_TILE):
                tile[i * LANES + lane] = block[start + i]
        for lane in range(count, LANES):
            for i in range(_TILE):
                tile[i * LANES + lane] = np.float32(0)
