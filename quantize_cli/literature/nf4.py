"""NF4 with double quantization: 16 levels at quantiles of the normal distribution, in blocks of 64 weights.

Levels. With d = (1/32 + 1/30) / 2 and Q the quantile function of N(0, 1):

    positive = Q(evenly spaced, 9 numbers from 1/2 to 1 - d) without Q(1/2)         8 levels
    negative = -Q(evenly spaced, 8 numbers from 1/2 to 1 - d) without Q(1/2)        7 levels
    levels = (negative, 0, positive) / Q(1 - d)                                     -1 to 1

Blocks. The weights of a matrix stand row behind row; a block of 64 may reach into the next row.

    a_b = max |w|                       of block b
    w' = level nearest to w / a_b       4 bits, chosen with the exact a_b
    m = mean of all a_b                 a float32 for the matrix
    c_g = max |a_b - m|                 of group g, 256 blocks; a float32
    a'_b = m + c_g * (8-bit dynamic float nearest to (a_b - m) / c_g)
    weight = w' * a'_b

Storage: 4 bits for each weight, 8 for each block, 32 for each group and 32 for m: 4 + 8/64 + 32/(64 * 256) = 4.127 bits
a weight.

Source: Dettmers, Pagnoni, Holtzman, Zettlemoyer, "QLoRA: Efficient Finetuning of Quantized LLMs" (arXiv 2305.14314),
section 3 and appendix E.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from quantize_cli.literature.absmax import shares
from quantize_cli.literature.base import F32_BITS, Matrix, RoundTrip
from quantize_cli.literature.codebook import nearest
from quantize_cli.literature.dynamic_float import dynamic_levels

#: Weights of a block, and blocks of a group.
BLOCK, GROUP = 64, 256
#: Bits of a level, and of a block's scale.
_LEVEL_BITS, _SCALE_BITS = 4, 8
#: What is left of the normal distribution beyond the outermost levels, on each side.
_TAIL = (1 / 32 + 1 / 30) / 2


def nf4_levels() -> NDArray[np.float32]:
    """Return the 16 levels, float32[16], ascending."""
    positive, negative = _quantiles(8), _quantiles(7)
    return np.array([*(-number for number in reversed(negative)), 0, *positive], np.float32)


def nf4(weights: Matrix) -> RoundTrip:
    """Round a matrix, float32[outputs, inputs], to NF4 with scales that are quantized too."""
    blocks = _divided(weights, BLOCK)
    scales = np.max(np.abs(blocks), axis=1, keepdims=True, initial=0)
    decoded, groups = _scales(scales)
    result = (nearest(nf4_levels(), shares(blocks, scales)) * decoded).reshape(-1)[: weights.size]
    bits = _LEVEL_BITS * weights.size + _SCALE_BITS * len(blocks) + F32_BITS * (groups + 1)
    return RoundTrip(result.reshape(weights.shape), bits)


def _quantiles(count: int) -> list[float]:
    """Return the positive levels of a side that has `count` of them, ascending, the last of which is 1."""
    inverse = NormalDist().inv_cdf
    end = 1 - _TAIL
    return [inverse(0.5 + (end - 0.5) * number / count) / inverse(end) for number in range(1, count + 1)]


def _scales(scales: Matrix) -> tuple[Matrix, int]:
    """Round the scales of blocks, float32[n, 1]; return them decoded, and the number of groups."""
    mean = np.float32(np.mean(scales, dtype=np.float64))
    groups = _divided(scales - mean, GROUP)
    largest = np.max(np.abs(groups), axis=1, keepdims=True)
    decoded = nearest(dynamic_levels(), shares(groups, largest)) * largest + mean
    return decoded.reshape(-1, 1)[: len(scales)], len(groups)


def _divided(values: Matrix, size: int) -> Matrix:
    """Return the values in rows of `size`, the last of which is filled up with 0."""
    padded = np.zeros(-(-values.size // size) * size, np.float32)
    padded[: values.size] = values.reshape(-1)
    return padded.reshape(-1, size)
