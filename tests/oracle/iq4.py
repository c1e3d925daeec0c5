"""IQ4_NL and IQ4_XS: x ~ scale * one of 16 unevenly spaced values, in blocks of 32."""

from __future__ import annotations

from oracle.packing import from_nibbles, nibbles
from oracle.scalars import GROUP_MAX_EPS, Block, F, clamp, first_extreme, half, half_at, inverse_or_zero, nearest_int
from oracle.symmetric import encode_super_blocks, importance_weights, squares, total

#: ggml-common.h, kvalues_iq4nl.
VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def nearest_level(x: F) -> int:
    """The level whose value is nearest, the higher one in a tie; NaN compares false and ends at the highest."""
    if x <= VALUES[0]:
        return 0
    if x >= VALUES[15]:
        return 15
    high = next((level for level in range(1, 15) if x < VALUES[level]), 15)
    return high - 1 if x - F(VALUES[high - 1]) < F(VALUES[high]) - x else high


def _sums(x: Block, w: Block, inverse: F) -> tuple[F, F]:
    """Sums of w q x and of w q q over the nearest values q."""
    sum_qx = sum_q2 = F(0)
    for value, weight in zip(x, w, strict=True):
        q = F(VALUES[nearest_level(inverse * value)])
        sum_qx += weight * q * value
        sum_q2 += weight * q * q
    return sum_qx, sum_q2


def fit_scale(x: Block, w: Block) -> F:
    """The scale of a block that explains most."""
    extreme = first_extreme(x)
    if abs(extreme) < GROUP_MAX_EPS:
        return F(0)
    sum_qx, sum_q2 = _sums(x, w, F(1) / (-extreme / F(VALUES[0])))
    scale = sum_qx / sum_q2 if sum_q2 > 0 else F(0)
    best = scale * sum_qx
    for attempt in range(-7, 8):
        sum_qx, sum_q2 = _sums(x, w, F(attempt + VALUES[0]) / extreme)
        if sum_q2 > 0 and sum_qx * sum_qx > best * sum_q2:
            scale = sum_qx / sum_q2
            best = scale * sum_qx
    return scale


def _weights(x: Block, importance: Block) -> Block:
    """Importance times the root of (twice the mean square + square)."""
    return importance_weights(x, importance, total(squares(x)) * F(2 / len(x)))


def _levels(x: Block, scale: F) -> list[int]:
    inverse = inverse_or_zero(scale)
    return [nearest_level(inverse * value) for value in x]


def _encode_iq4_nl(x: Block, w: Block) -> bytes:
    scale = fit_scale(x, w)
    return half(scale) + nibbles(_levels(x, scale))


def encode_iq4_nl(x: Block) -> bytes:
    return _encode_iq4_nl(x, squares(x))


def encode_iq4_nl_row(row: Block, importance: Block) -> bytes:
    parts = zip(row.reshape(-1, 32), importance.reshape(-1, 32), strict=True)
    return b"".join(_encode_iq4_nl(x, _weights(x, part)) for x, part in parts)


def decode_iq4_nl(block: bytes) -> list[F]:
    d = half_at(block, 0)
    return [d * F(VALUES[level]) for level in from_nibbles(block[2:])]


def _encode_iq4_xs(x: Block, w: Block) -> bytes:
    parts = x.reshape(8, 32)
    fitted = [fit_scale(part, weights) for part, weights in zip(parts, w.reshape(8, 32), strict=True)]
    d = -first_extreme(fitted) / F(32)
    inverse = inverse_or_zero(d)
    scales = [clamp(nearest_int(inverse * scale), -32, 31) for scale in fitted]
    scales_h = sum((scale + 32 >> 4) << 2 * j for j, scale in enumerate(scales))
    scales_l = bytes(scales[j] + 32 & 15 | (scales[j + 1] + 32 & 15) << 4 for j in range(0, 8, 2))
    # the levels are those of the scale before d is rounded to float16
    qs = b"".join(nibbles(_levels(part, d * F(scale))) for part, scale in zip(parts, scales, strict=True))
    return half(d) + scales_h.to_bytes(2, "little") + scales_l + qs


def encode_iq4_xs(x: Block) -> bytes:
    return _encode_iq4_xs(x, squares(x))


def encode_iq4_xs_row(row: Block, importance: Block) -> bytes:
    return encode_super_blocks(lambda x, part: _encode_iq4_xs(x, _weights(x, part)), row, importance)


def decode_iq4_xs(block: bytes) -> list[F]:
    d = half_at(block, 0)
    scales_h = int.from_bytes(block[2:4], "little")
    values = []
    for j in range(8):
        low = block[4 + j // 2] >> j % 2 * 4 & 15
        scale = d * F((low | (scales_h >> 2 * j & 3) << 4) - 32)
        values += [scale * F(VALUES[level]) for level in from_nibbles(block[8 + 16 * j : 24 + 16 * j])]
    return values
