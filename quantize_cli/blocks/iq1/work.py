"""The buffers that IQ1_S and IQ1_M work in, and what both know of levels and scales."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import SUPER_BLOCK, Blocks, Importance
from quantize_cli.blocks.iq1.grid import GROUP
from quantize_cli.blocks.search.weights import sum_of_squares
from quantize_cli.simd.compile import inner
from quantize_cli.simd.lanes import Lanes, load_lanes
from quantize_cli.simd.vector import LANES, Floats

F = np.float32
#: Weights in a sub-block of IQ1_S and of IQ1_M.
_MOST, _LEAST = 32, 16
LEVELS = 3
#: The values of the levels with either shift.
PLUS = (F(-0.875), F(0.125), F(1.125))
MINUS = (F(-1.125), F(-0.125), F(0.875))
#: The largest stored scale, and how many times d it stands for.
TOP_SCALE = 7
STEPS = F(2 * TOP_SCALE + 1)

#: A flat int32 buffer of vectors.
IntLanes = NDArray[np.int32]


class Work(NamedTuple):
    """Room for LANES super-blocks; flat buffers of vectors."""

    x: Lanes  #: 256 vectors
    importance: Lanes  #: 256 vectors
    w: Lanes  #: weights of a sub-block's errors
    ranks: IntLanes  #: places of a sub-block's weights in ascending order
    sums_x: Lanes  #: sums of w * x over the first weights in that order, see `sum_in_order`
    sums_w: Lanes  #: sums of w
    errors: Lanes  #: weighted error of each weight of a sub-block at each level
    points: IntLanes  #: 32 vectors: the grid points of the super-blocks
    scales: Lanes  #: of the sub-blocks
    shifts: IntLanes  #: of the sub-blocks: bit 1 tells whether that of the first half is negative, bit 0 of the second
    stored_scales: IntLanes  #: of the sub-blocks, 0..7
    head: Lanes  #: 1 vector: d before it is rounded to float16


def new_work() -> Work:
    """Allocate the buffers: by NumPy, because to compile this takes longer than all of `rank`."""

    def floats(vectors: int) -> Lanes:
        return np.zeros(vectors * LANES, np.float32)

    def ints(vectors: int) -> IntLanes:
        return np.zeros(vectors * LANES, np.int32)

    return Work(
        x=floats(SUPER_BLOCK),
        importance=floats(SUPER_BLOCK),
        w=floats(_MOST),
        ranks=ints(_MOST),
        sums_x=floats(_MOST + 2),
        sums_w=floats(_MOST + 2),
        errors=floats(LEVELS * _MOST),
        points=ints(SUPER_BLOCK // GROUP),
        scales=floats(SUPER_BLOCK // _LEAST),
        shifts=ints(SUPER_BLOCK // _LEAST),
        stored_scales=ints(SUPER_BLOCK // _LEAST),
        head=floats(1),
    )


@inner
def load_super_blocks(blocks: Blocks, importance: Importance | None, first: int, count: int, work: Work) -> Floats:
    """Put super-blocks from number `first` on into lanes; return twice the mean of their squares."""
    load_lanes(blocks, first, count, work.x)
    if importance is not None:
        load_lanes(importance, first, count, work.importance)
    return F(2) * sum_of_squares(work.x) / F(SUPER_BLOCK)
