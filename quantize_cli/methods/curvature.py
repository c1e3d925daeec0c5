"""What a matrix's inputs tell of which errors count, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Curvature:
    """A damped Hessian H of a matrix's inputs, and the factor of its inverse."""

    hessian: NDArray[np.float32]  #: float32[columns, columns]
    lower: NDArray[np.float32]  #: L, float32[columns, columns], lower triangular: H^-1 = L L^T

    @property
    def importance(self) -> NDArray[np.float32]:
        """What an error in each column costs once the columns behind it have made up for it, float32[columns]."""
        return (1 / np.square(np.diagonal(self.lower))).astype(np.float32)
