"""What the K types do with a super-block once its scales are stored: round to levels, and pack them.

The loops run over as many elements as the arrays have, a number that the compiler does not know: one that it knows it
unrolls before it could vectorise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import clamped_int
from quantize_cli.formats._lanes import Lanes


@kernel
def pack_two_bits(levels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """256 levels 0..3 -> 64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1."""
    width = levels.size // 8
    for half in range(2):
        planes = levels[4 * width * half : 4 * width * (half + 1)]
        target = out[width * half : width * (half + 1)]
        for i in range(width):
            low = planes[i] | planes[i + width] << 2
            high = planes[i + 2 * width] | planes[i + 3 * width] << 2
            target[i] = low | high << 4


@kernel
def round_levels(values: Lanes, low: Lanes, scale: Lanes, top: np.int32, levels: NDArray[np.uint8]) -> None:
    """Levels 0..top of a super-block under its stored scales and mins, both given for each element."""
    for i in range(values.size):
        levels[i] = clamped_int((values[i] + low[i]) / scale[i], np.int32(0), top)


@kernel
def round_signed_levels(
    values: Lanes, scale: Lanes, bottom: np.int32, top: np.int32, levels: NDArray[np.uint8]
) -> None:
    """Levels bottom..top of a super-block under its stored scales, given for each element, counted from 0."""
    for i in range(values.size):
        levels[i] = clamped_int(values[i] / scale[i], bottom, top) - bottom
