"""The 8-bit dynamic float: a number in [-1, 1] whose exponent takes as many bits as it needs.

The number of leading zeros is the decimal exponent, and the bits behind the first one divide a decade evenly:

    exponent -e, e = 0 to 6:    [0.1, 1] in 2^(6 - e) even steps; the middle of each, times 10^-e, and its negative
    besides:                    0 and 1

These are 256 levels.

Source: Dettmers, Lewis, Shleifer, Zettlemoyer, "8-bit Optimizers via Block-wise Quantization" (arXiv 2110.02861),
"dynamic tree quantization", with a sign. It is what the code of QLoRA takes for the paper's 8-bit floats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Decimal exponents: 0 to -6.
_DECADES = 7


def dynamic_levels() -> NDArray[np.float32]:
    """Return the 256 levels, float32[256], ascending."""
    positive: list[float] = []
    for exponent in range(_DECADES):
        steps = 2 ** (_DECADES - 1 - exponent)
        middles = 0.1 + 0.9 * (np.arange(steps) + 0.5) / steps
        positive.extend(middles / 10**exponent)
    return np.sort(np.array([*positive, *(-number for number in positive), 0, 1], np.float32))
