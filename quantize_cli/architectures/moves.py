"""Rearrangements of rows between the Hugging Face and the GGUF layout of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RotaryInterleave:
    """From rotating halves (Hugging Face) to rotating neighbours (the original Llama, ggml's "norm" RoPE).

    A head's rows 0 .. d/2-1 pair with its rows d/2 .. d-1; after the transform row 2i pairs with row 2i+1. Works on
    weights (rows, columns) and on biases (rows,); values are moved, never computed.
    """

    head_dim: int

    @property
    def row_group(self) -> int:
        """A head's rows stay together."""
        return self.head_dim

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of whole heads -> the same rows, interleaved within each head."""
        halves = rows.reshape(-1, 2, self.head_dim // 2, *rows.shape[1:])
        return halves.swapaxes(1, 2).reshape(rows.shape)
