"""LLM.int8(): columns that large activations meet stay in 16 bits, and the rest has absmax scales in 8 bits.

    O = {j : max over tokens of |x_j| > 6.0}        the outlier columns
    w'_ij = float16(w_ij)                           for j in O
    w'_ij = round(w_ij / a_i * 127) / 127 * a_i     for the others; a_i = max of |w_ij| over j not in O, a float32

Storage: 16 bits for each weight of an outlier column, and 32 for the column's number; 8 for each other weight, and 32
for each a_i.

The method also rounds the activations to 8 bits while it computes. A round trip of weights does not show that, so what
is measured here is the weights' share of the loss.

Source: Dettmers, Lewis, Belkada, Zettlemoyer, "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale"
(arXiv 2208.07339), section 3: "vector-wise quantization" and "mixed-precision decomposition", with its threshold.
"""

from __future__ import annotations

import numpy as np

from quantize_cli.literature.absmax import absmax
from quantize_cli.literature.base import Columns, Matrix, RoundTrip

#: The magnitude of an activation above which its column is an outlier.
THRESHOLD = 6.0
#: Bits of a weight that is kept as a float16, and of the number of a column.
_F16_BITS, _COLUMN_BITS = 16, 32


def llm_int8(weights: Matrix, inputs: Columns) -> RoundTrip:
    """Round all columns but the outliers to 8 bits.

    Args:
        weights: float32[outputs, inputs]; a float16 holds each.
        inputs: The largest magnitude of what each column is multiplied by, float32[inputs].
    """
    outliers = inputs > THRESHOLD
    rest = absmax(weights[:, ~outliers], 8, per_row=True)
    kept = weights[:, outliers].astype(np.float16)
    result = np.empty_like(weights)
    result[:, outliers], result[:, ~outliers] = kept, rest.weights
    return RoundTrip(result, rest.bits + _F16_BITS * kept.size + _COLUMN_BITS * kept.shape[1])
