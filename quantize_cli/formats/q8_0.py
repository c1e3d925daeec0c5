"""Q8_0: 8.5 bits per weight; x = d * level, level -127..127.

A block of 32 weights, 34 bytes:

    0    d   float16
    2    qs  32 int8
"""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import load_half, store_half, to_half
from quantize_cli.formats._simple import inverse_or_zero, round_away
from quantize_cli.formats.base import BlockFormat, Packed, Rows

F = np.float32
BLOCK = 32
BLOCK_BYTES = 34


@kernel
def quantize(rows: Rows, out: Packed) -> None:
    """Rows float32[n, k] -> out uint8[n, k / 32 * 34]."""
    flat = rows.reshape(-1)
    packed = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        at = block * BLOCK_BYTES
        largest = F(0)
        for i in range(BLOCK):
            largest = max(largest, abs(values[i]))
        d = largest / F(127)
        inverse = inverse_or_zero(d)
        store_half(packed, at, to_half(d))
        levels = packed[at + 2 : at + BLOCK_BYTES]
        for i in range(BLOCK):
            levels[i] = np.uint8(np.int8(np.int32(round_away(values[i] * inverse))))


@kernel
def dequantize(packed: Packed, out: Rows) -> None:
    """Packed uint8[n, k / 32 * 34] -> out float32[n, k]."""
    source = packed.reshape(-1)
    flat = out.reshape(-1)
    for block in range(flat.size // BLOCK):
        at = block * BLOCK_BYTES
        d = load_half(source, at)
        levels = source[at + 2 : at + BLOCK_BYTES]
        values = flat[block * BLOCK : (block + 1) * BLOCK]
        for i in range(BLOCK):
            values[i] = F(np.int8(levels[i])) * d


Q8_0 = BlockFormat(GGMLQuantizationType.Q8_0, BLOCK, BLOCK_BYTES, quantize, dequantize)
