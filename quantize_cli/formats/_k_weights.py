"""The weights of the K types' error sums when there is no importance matrix."""

from __future__ import annotations

import numpy as np

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._lanes import LANES, Lanes

F = np.float32


@kernel
def rms_plus_magnitude(x: Lanes, w: Lanes) -> None:
    """Q4_K and Q5_K: sqrt(mean(x^2)) + |x| over sub-blocks of 32, both flat float32[32 * LANES]."""
    total = np.zeros(LANES, np.float32)
    for i in range(32):
        for lane in range(LANES):
            value = x[i * LANES + lane]
            total[lane] += value * value
    for lane in range(LANES):
        total[lane] = np.sqrt(total[lane] / F(32))
    for i in range(32):
        for lane in range(LANES):
            w[i * LANES + lane] = total[lane] + abs(x[i * LANES + lane])
