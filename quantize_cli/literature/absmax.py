"""Round to nearest with absmax scales: the plainest method, with one scale for a matrix or for each of its rows.

    L = 2^(bits - 1) - 1        the largest level: 127 or 7
    a = max |w|                 of the matrix or of the row, a float32
    q = round(w / a * L)        -L to L; halves go to the even level
    w' = q / L * a              0 if a is 0

Storage: `bits` for each weight, and 32 for each a.

Source: Dettmers, Lewis, Belkada, Zettlemoyer, "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale"
(arXiv 2208.07339), section 2: "absmax quantization", and its row-wise form.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.literature.base import F32_BITS, Matrix, RoundTrip


def absmax(weights: Matrix, bits: int, *, per_row: bool) -> RoundTrip:
    """Round a matrix to integers of `bits` bits.

    Args:
        weights: float32[outputs, inputs].
        bits: From 2 to 8.
        per_row: Whether each row has a scale of its own.
    """
    scales = np.max(np.abs(weights), axis=1 if per_row else None, keepdims=True, initial=0)
    largest = np.float32(2 ** (bits - 1) - 1)
    levels = np.rint(shares(weights, scales) * largest)
    return RoundTrip(levels / largest * scales, bits * weights.size + F32_BITS * scales.size)


def shares(values: Matrix, scales: Matrix) -> Matrix:
    """Divide rows by their scales, which none of their magnitudes exceeds; a row whose scale is 0 stays 0."""
    return np.divide(values, scales, out=np.zeros_like(values), where=scales > 0)
