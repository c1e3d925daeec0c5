"""The order in which the K types with 16-element sub-blocks keep their levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel


@kernel
def pack_two_bits(levels: NDArray[np.uint8], out: NDArray[np.uint8], at: int) -> None:
    """256 levels 0..3 -> 64 bytes: byte 32 h + l holds elements 128 h + l + 32 p, p = 0..3, in bits 2p and 2p + 1."""
    for half in range(2):
        start = 128 * half
        for i in range(32):
            low = levels[start + i] | levels[start + i + 32] << 2
            high = levels[start + i + 64] | levels[start + i + 96] << 2
            out[at + 32 * half + i] = low | high << 4
