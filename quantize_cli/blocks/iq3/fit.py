"""What IQ3_XXS and IQ3_S share: the search for a scale and for points of a grid, in sub-blocks of 32 weights.

Method: ggml-quants.c, `quantize_row_iq3_xxs_impl` and `quantize_row_iq3_s_impl`. The signs are taken off; for a row of
candidate scales, every four magnitudes are rounded to a pattern of levels, and to the best point near it if the grid
lacks that; of the candidates the one whose least-squares scale explains most wins, and is then refined once.

Here lane l of a vector is candidate l, all of one sub-block: neighbouring candidates mostly round to the same pattern,
so its list of points is walked for several of them at once, and every point is read as a scalar, without a gather.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import SUPER_BLOCK, Importance
from quantize_cli.blocks.iq3.grid import FULL, NUMBERS, SHORT, WAS_ON_GRID, Table
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.rounding import nearest_int, nearest_ints
from quantize_cli.simd.vector import (
    LANES,
    NARROW,
    Floats,
    Ints,
    any_lane,
    clamped,
    lane_numbers,
    load,
    load_ints,
    load_narrow,
    magnitude,
    narrow,
    select,
    splat,
    splat_int,
    square_root,
    store,
    store_ints,
    store_narrow_ints,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Groups of four weights, of which each becomes a point of the grid.
GROUPS = 64
_GROUPS_HERE = SUB_BLOCK // 4
#: The largest magnitude of a level, and the code of a point, four nibbles, whose magnitudes are all 1.
_TOP = F(15)
_ONES = 0x1111
#: Instead of the codes of a sub-block that counts as zero; it gives point number 0.
NO_CODE = 0
#: Up to this many steps from its level a magnitude is surely nearer to it than to any other, and the short lists do: it
#: is half a step, less much more than the roundings of a difference can add up to.
_SURE = F(0.4999)
_FLOAT_MAX = F(np.finfo(np.float32).max)

FloatWork: TypeAlias = NDArray[np.float32]
IntWork: TypeAlias = NDArray[np.int32]


class Search(NamedTuple):
    """What differs between the types."""

    reach: int  #: candidates have the inverse scales (15 + i / 5) / max, i = -reach..reach; there are at most LANES
    least: np.float32  #: a sub-block whose largest magnitude is less has scale 0
    whole: bool  #: the refinement starts all groups of a sub-block anew, not only those that were off the grid


# A super-block's work is in two flat arrays: Numba counts references to every array that a kernel is given.

#: float32: 256 magnitudes, the type's signs taken off; 256 weights of squared errors; their square roots, by which
#: points near a pattern are compared; the 8 sub-blocks' scales; 2 vectors of the candidates' sums; and 17 vectors, at
#: LANES * q the candidate scales times q = 1, 3 ... 15, zeros between.
X, W, ROOT, SCALES = 0, SUPER_BLOCK, 2 * SUPER_BLOCK, 3 * SUPER_BLOCK
_SUMS = SCALES + SUB_BLOCKS
_PRODUCTS = _SUMS + 2 * LANES
_FLOATS = _PRODUCTS + 17 * LANES
#: int32: the codes of the 64 points; 32 times eight signs, bit i of number k set where element 8 k + i is negative;
#: for each group of a sub-block a vector of where the candidates' lists start and stop in the table; and, at 2 * LANES
#: times its number, a vector of their codes, with room behind it.
CODES, SIGNS = 0, GROUPS
_PLACES = SIGNS + SUPER_BLOCK // 8
_TRIALS = _PLACES + _GROUPS_HERE * LANES
_INTS = _TRIALS + 2 * _GROUPS_HERE * LANES


@maker
def new_work() -> tuple[FloatWork, IntWork]:
    """Allocate both."""
    return np.zeros(_FLOATS, np.float32), np.zeros(_INTS, np.int32)


@inner
def weigh(
    values: NDArray[np.float32], importance: Importance | None, number: int, floats: FloatWork, ints: IntWork
) -> None:
    """Fill in weights, their roots, and the values less their signs, of one super-block.

    Args:
        values: float32[256].
        importance: float32[blocks in a row, 256]; optional.
        number: of the super-block, by which its importance is found.
        floats: receives X, W and ROOT.
        ints: receives SIGNS.
    """
    variance = F(0)
    if importance is not None:
        total = F(0)
        for i in range(SUPER_BLOCK):
            total += values[i] * values[i]
        variance = F(2) * total / F(SUPER_BLOCK)
    for start in range(0, SUPER_BLOCK, LANES):
        x = load(values, start)
        weight = x * x
        if importance is not None:
            weight = load(importance[number % importance.shape[0]], start) * square_root(variance + x * x)
        store(floats, W + start, weight)
        store(floats, ROOT + start, square_root(weight))
        store(floats, X + start, select(x >= F(0), x, -x))
    for k in range(SUPER_BLOCK // 8):
        signs = 0
        for i in range(8):
            signs |= (0 if values[8 * k + i] >= F(0) else 1) << i
        ints[SIGNS + k] = signs


@inner
def _round(x: np.float32, inverse: Floats) -> tuple[Ints, Floats]:
    """Find the levels nearest to x * inverse, and how far from them it is in steps: at most 1/2 where that rounds."""
    value = F(0.5) * (inverse * x - F(1))
    level = clamped(nearest_ints(value), I(0), I(7))
    return level, magnitude(clamped(value, F(0), F(7)) - to_floats(level))


@inner
def _place(start: int, inverse: Floats, candidates: int, grid: Table, floats: FloatWork, ints: IntWork) -> None:
    """Find the best points for every four magnitudes of the sub-block at element `start`, for all candidates.

    Neighbouring candidates mostly have the same pattern, and so the same list: it is walked once for all of them, which
    are in the first lanes of vectors that start there. What the lanes behind them get is overwritten by the next ones.
    """
    for k in range(_GROUPS_HERE):
        at = start + 4 * k
        pattern, far = _round(floats[X + at], inverse)
        for i in range(1, 4):
            level, off = _round(floats[X + at + i], inverse)
            pattern = pattern | level << I(3 * i)
            far = select(off > far, off, far)
        lists = FULL if any_lane(far > _SURE) else SHORT
        store_ints(ints, _PLACES + LANES * k, pattern + I(lists))

    for k in range(_GROUPS_HERE):
        at = start + 4 * k
        places = _PLACES + LANES * k
        trials = _TRIALS + 2 * LANES * k
        x0, x1 = narrow(splat(floats[X + at])), narrow(splat(floats[X + at + 1]))
        x2, x3 = narrow(splat(floats[X + at + 2])), narrow(splat(floats[X + at + 3]))
        w0, w1 = narrow(splat(floats[ROOT + at])), narrow(splat(floats[ROOT + at + 1]))
        w2, w3 = narrow(splat(floats[ROOT + at + 2])), narrow(splat(floats[ROOT + at + 3]))
        lane = 0
        while lane < candidates:
            here = ints[places + lane]
            first, stop = grid[here], grid[here + 1]
            chosen = narrow(splat_int(grid[first]))
            best = narrow(splat(_FLOAT_MAX))
            products = _PRODUCTS + lane
            for place in range(first, stop if stop - first > 1 else first):
                code = grid[place]
                off = x0 - load_narrow(floats, products + LANES * (code & 15))
                distance = w0 * off * off
                off = x1 - load_narrow(floats, products + LANES * (code >> 4 & 15))
                distance += w1 * off * off
                off = x2 - load_narrow(floats, products + LANES * (code >> 8 & 15))
                distance += w2 * off * off
                off = x3 - load_narrow(floats, products + LANES * (code >> 12 & 15))
                distance += w3 * off * off
                better = distance < best
                best = select(better, distance, best)
                chosen = select(better, narrow(splat_int(code)), chosen)
            store_narrow_ints(ints, trials + lane, chosen)
            stop_lane = min(lane + NARROW, candidates)
            lane += 1
            while lane < stop_lane and ints[places + lane] == here:
                lane += 1


@inner
def _search(start: int, largest: np.float32, search: Search, grid: Table, floats: FloatWork, ints: IntWork) -> None:
    """Choose among the candidates for the sub-block at element `start`, whose largest magnitude is given."""
    candidates = 2 * search.reach + 1
    step = lane_numbers()
    step = select(step < I(2 * search.reach), step, I(2 * search.reach)) - I(search.reach)
    inverse = (_TOP + to_floats(step) * F(0.2)) / largest
    scale = F(1) / inverse
    for level in range(8):
        store(floats, _PRODUCTS + LANES * (2 * level + 1), scale * F(2 * level + 1))
    _place(start, inverse, candidates, grid, floats, ints)
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for k in range(_GROUPS_HERE):
        code = load_ints(ints, _TRIALS + 2 * LANES * k)
        for i in range(4):
            q = to_floats(code >> I(4 * i) & I(15))
            weight = floats[W + start + 4 * k + i]
            sum_qx += weight * floats[X + start + 4 * k + i] * q
            sum_q2 += weight * q * q
    store(floats, _SUMS, sum_qx)
    store(floats, _SUMS + LANES, sum_q2)

    best = F(0)
    chosen = -1
    fitted = largest / _TOP
    for lane in range(candidates):
        qx, q2 = floats[_SUMS + lane], floats[_SUMS + LANES + lane]
        if q2 > F(0) and qx * qx > best * q2:
            fitted = qx / q2
            best = fitted * qx
            chosen = lane
    floats[SCALES + start // SUB_BLOCK] = fitted
    none = _ONES if search.whole else _ONES | WAS_ON_GRID
    for k in range(_GROUPS_HERE):
        ints[CODES + start // 4 + k] = none if chosen < 0 else ints[_TRIALS + 2 * LANES * k + chosen]


@inner
def _refine(search: Search, grid: Table, floats: FloatWork, ints: IntWork) -> None:
    """Round once more under the scales that the search found, where a group was off the grid, and fit them again."""
    for sub_block in range(SUB_BLOCKS):
        groups = range(sub_block * _GROUPS_HERE, (sub_block + 1) * _GROUPS_HERE)
        on_grid = WAS_ON_GRID
        for k in groups:
            on_grid &= ints[CODES + k]
        scale = floats[SCALES + sub_block]
        if on_grid or not scale > F(0):
            continue
        inverse = F(1) / scale
        sum_qx = F(0)
        sum_q2 = F(0)
        for k in groups:
            if search.whole or not ints[CODES + k] & WAS_ON_GRID:
                pattern = 0
                for i in range(4):
                    level = int(nearest_int(F(0.5) * (inverse * floats[X + 4 * k + i] - F(1))))
                    pattern |= min(max(level, 0), 7) << 3 * i
                first, stop = grid[FULL + pattern], grid[FULL + pattern + 1]
                chosen = grid[first]
                best = _FLOAT_MAX
                for place in range(first, stop if stop - first > 1 else first):
                    code = grid[place]
                    distance = F(0)
                    for i in range(4):
                        off = floats[X + 4 * k + i] - scale * F(code >> 4 * i & 15)
                        distance += floats[ROOT + 4 * k + i] * off * off
                    if distance < best:
                        best = distance
                        chosen = code
                ints[CODES + k] = chosen
            for i in range(4):
                q = F(ints[CODES + k] >> 4 * i & 15)
                weight = floats[W + 4 * k + i]
                sum_qx += weight * floats[X + 4 * k + i] * q
                sum_q2 += weight * q * q
        if sum_q2 > F(0):
            floats[SCALES + sub_block] = sum_qx / sum_q2


@inner
def fit_points(search: Search, grid: Table, floats: FloatWork, ints: IntWork) -> np.float32:
    """Find scales and codes of the super-block in X, W and ROOT; return the largest scale.

    Signs are flipped where a scale came out negative, and cleared where a sub-block counts as zero.
    """
    for sub_block in range(SUB_BLOCKS):
        start = sub_block * SUB_BLOCK
        largest = floats[X + start]
        for i in range(start + 1, start + SUB_BLOCK):
            largest = max(largest, floats[X + i])
        if largest < search.least or largest == F(0):
            floats[SCALES + sub_block] = F(0)
            for k in range(_GROUPS_HERE):
                ints[CODES + start // 4 + k] = NO_CODE
            for k in range(SUB_BLOCK // 8):
                ints[SIGNS + start // 8 + k] = 0
        else:
            _search(start, largest, search, grid, floats, ints)
    _refine(search, grid, floats, ints)
    highest = F(0)
    for sub_block in range(SUB_BLOCKS):
        scale = floats[SCALES + sub_block]
        if scale < F(0):
            scale = -scale
            for k in range(4 * sub_block, 4 * (sub_block + 1)):
                ints[SIGNS + k] ^= 255
        floats[SCALES + sub_block] = scale
        highest = scale if scale > highest else highest  # unless it is NaN
    return highest


@inner
def point_number(code: int, grid: Table) -> int:
    """Look up the number of the point with that code."""
    pattern = (code >> 1 & 7) | (code >> 5 & 7) << 3 | (code >> 9 & 7) << 6 | (code >> 13 & 7) << 9
    return int(grid[NUMBERS + pattern])


@inner
def scale_level(scale: np.float32, inverse: np.float32) -> int:
    """Round a scale to the level 0..15 that stands for 2 * level + 1."""
    return min(max(int(nearest_int(F(0.5) * (inverse * scale - F(1)))), 0), 15)
