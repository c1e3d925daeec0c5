"""What a method makes of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: The weights of a linear layer, float32[outputs, inputs], finite.
Matrix: TypeAlias = NDArray[np.float32]
#: A number for each column of a matrix, float32[inputs].
Columns: TypeAlias = NDArray[np.float32]

#: Bits of a scale or an offset that is stored as a float32.
F32_BITS = 32


@dataclass(frozen=True, eq=False, slots=True)
class RoundTrip:
    """A matrix that was quantized and decoded again."""

    weights: Matrix  #: what a reader of the stored form computes with, in the shape of the source
    bits: int  #: of all that is stored: levels, scales, offsets and the numbers of columns that are kept apart

    @property
    def bits_per_weight(self) -> float:
        """Bits of all that is stored, for each weight."""
        return self.bits / max(self.weights.size, 1)
