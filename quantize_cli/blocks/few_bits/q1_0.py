"""Q1_0: 1.125 bits per weight; x = d or -d.

A block of 128 weights, 18 bytes:

    0    d   float16, the mean magnitude
    2    qs  128 bits, the lowest of each byte first: 1 where x >= 0
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.lanes import Lanes, load_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    load,
    load_mask,
    magnitude,
    select,
    splat,
    store,
    store_mask,
)

F = np.float32
BLOCK = 128
BLOCK_BYTES = 18
QS = 2
PARTS = BLOCK // LANES
PART_BYTES = LANES // 8


@inner
def _sum_of_magnitudes(x: Lanes) -> Floats:
    total = splat(F(0))
    for i in range(0, BLOCK * LANES, LANES):
        total += magnitude(load(x, i))
    return total


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 128] into out, uint8[n, 18]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    x = np.empty(BLOCK * LANES, np.float32)
    means = np.empty(LANES, np.float32)
    for first in range(0, blocks.shape[0], LANES):
        count = min(LANES, blocks.shape[0] - first)
        load_lanes(blocks, first, count, x)
        store(means, 0, _sum_of_magnitudes(x) / F(BLOCK))
        for lane in range(count):
            start, at = (first + lane) * BLOCK, (first + lane) * BLOCK_BYTES
            store_half(packed, at, to_half(means[lane]))
            for part in range(PARTS):
                store_mask(packed, at + QS + part * PART_BYTES, load(values, start + part * LANES) >= F(0))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 18] into out, float32[n, 128]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        d = splat(load_half(blocks, at))
        for part in range(PARTS):
            signs = load_mask(blocks, at + QS + part * PART_BYTES)
            store(values, number * BLOCK + part * LANES, select(signs, d, -d))


Q1_0 = BlockType("Q1_0", pack, unpack)
