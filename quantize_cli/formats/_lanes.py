"""Many sub-blocks side by side: the layout in which the searches run.

Each of LANES lanes walks its own sub-block in element order, as the reference does, while the innermost loop runs
over the lanes; that loop carries no dependency, so LLVM turns it into vector instructions without being allowed to
reassociate a sum. A buffer of sub-blocks is flat and element-major: element i of lane l is at [i * LANES + l].

What was measured on the way to these constants is in docs/kernels.md.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel

#: A flat float32 buffer with LANES values a row.
Lanes: TypeAlias = NDArray[np.float32]

#: Sub-blocks searched together.
LANES = 64

#: Elements handled in one visit of a lane: the sums stay in registers meanwhile.
UNROLL = 8


@kernel
def load_lanes(values: Lanes, first: int, size: int, x: Lanes) -> None:
    """Put LANES sub-blocks of `size` elements, from number `first` on, into lanes; beyond the end they are zero.

    Args:
        values: all blocks, flat.
        first: number of the sub-block that comes into lane 0.
        size: elements of a sub-block.
        x: receives them, flat float32[size * LANES] or longer.
    """
    count = max(0, min(LANES, values.size // size - first))
    for lane in range(count):
        start = (first + lane) * size
        for i in range(size):
            x[i * LANES + lane] = values[start + i]
    for i in range(size):
        for lane in range(count, LANES):
            x[i * LANES + lane] = np.float32(0)
