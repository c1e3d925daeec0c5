"""Q8_0: 8.5 bits per weight; x = d * level, level -127..127.

A block of 32 weights, 34 bytes:

    0    d   float16
    2    qs  32 int8
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Grid, Groups, Heads, Importance, Levels, Packed
from quantize_cli.blocks.search.inverses import finite_inverse
from quantize_cli.simd.compile import inner, kernel, kernel_and_part
from quantize_cli.simd.extremes import largest_of, magnitudes
from quantize_cli.simd.half import load_half, store_half, to_half
from quantize_cli.simd.rounding import rounded_away
from quantize_cli.simd.vector import Ints, load, load_bytes, select, store, store_bytes, to_floats

F = np.float32
I = np.int32  # noqa: E741
BLOCK = 32
BLOCK_BYTES = 34
QS = 2
TOP = 127


@inner
def _store_block(packed: Packed, at: int, d: np.uint16, levels: Ints) -> None:
    store_half(packed, at, d)
    store_bytes(packed, at + QS, levels)


@inner
def _load_levels(packed: Packed, at: int) -> Ints:
    return (load_bytes(packed, at + QS) ^ I(128)) - I(128)


@kernel
def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    """Pack blocks float32[n, 32] into out, uint8[n, 34]."""
    values, packed = blocks.reshape(-1), out.reshape(-1)
    for number in range(blocks.shape[0]):
        x, at = load(values, number * BLOCK), number * BLOCK_BYTES
        d = largest_of(magnitudes(x)) / F(TOP)
        _store_block(packed, at, to_half(d), rounded_away(x * finite_inverse(d)))


@kernel_and_part
def unpack(packed: Packed, out: Blocks) -> None:
    """Unpack blocks uint8[n, 34] into out, float32[n, 32]."""
    blocks, values = packed.reshape(-1), out.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        store(values, number * BLOCK, to_floats(_load_levels(blocks, at)) * load_half(blocks, at))


@kernel
def read(packed: Packed, heads: Heads, scales: Groups, lows: Groups, levels: Levels) -> None:
    """Take blocks uint8[n, 34] apart, as `Grid.read` says; a stored -128, which no encoder writes, counts as -127."""
    blocks, out = packed.reshape(-1), levels.reshape(-1)
    for number in range(packed.shape[0]):
        at = number * BLOCK_BYTES
        heads[number, 0], heads[number, 1] = load_half(blocks, at), F(0)
        scales[number, 0], lows[number, 0] = F(1), F(0)
        stored = _load_levels(blocks, at)
        store_bytes(out, number * BLOCK, select(stored < I(-TOP), I(0), stored + I(TOP)))


@kernel
def write(heads: Heads, _scales: Groups, _lows: Groups, levels: Levels, packed: Packed) -> None:
    """Put blocks uint8[n, 34] together, as `Grid.write` says."""
    values, out = levels.reshape(-1), packed.reshape(-1)
    for number in range(packed.shape[0]):
        stored = load_bytes(values, number * BLOCK) - I(TOP)
        _store_block(out, number * BLOCK_BYTES, to_half(heads[number, 0]), stored)


# Without -128, which readers would understand: no encoder writes it.
_GRID = Grid(tuple(map(float, range(-TOP, TOP + 1))), BLOCK, (1, 1), (0, 0), read, write)
Q8_0 = BlockType("Q8_0", pack, unpack, grid=_GRID)
