"""The lengths of vectors, and what their NumPy twins are typed as."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Lanes of a vector. 16 leave the latency of additions exposed, 64 spill registers where they are 256 bits wide.
LANES = 32

#: Lanes of a narrow vector, for loops in which few lanes count; few functions take one (`_narrow` in compiled.py).
NARROW = 8

#: Lanes of the vectors that error sums are taken in; figures depend on it in their last digits. With 8, AVX2 waits for
#: additions to end; with 32, four sums do not fit its registers.
SUMMED = 16

#: Rows and columns of what `move_transposed` moves: a register of AVX2 holds eight floats.
TILE = 8

#: float32[LANES], int32[LANES] and bool[LANES]; or of NARROW or SUMMED lanes.
Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Mask: TypeAlias = NDArray[np.bool_]
#: float64[SUMMED], for measuring errors; kernels compute in float32.
Doubles: TypeAlias = NDArray[np.float64]
