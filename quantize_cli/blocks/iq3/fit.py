"""What IQ3_XXS and IQ3_S share: the search for a scale and for points of a grid, in sub-blocks of 32 weights.

Method: ggml-quants.c, `quantize_row_iq3_xxs_impl` and `quantize_row_iq3_s_impl`. The signs are taken off; for a row of
candidate scales, every four magnitudes are rounded to a pattern of levels, and to the best point near it if the grid
lacks that; of the candidates the one whose least-squares scale explains most wins, and is then refined once.

Here lane l of a vector is candidate l, all of one sub-block. Neighbouring candidates mostly round to the same pattern.
A *run* of them walks the list of points once, and every point is read as a scalar, without a gather. Runs that have
more than one point to choose from are queued: no branch then depends on whether a pattern is on the grid.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import SUPER_BLOCK, Importance
from quantize_cli.blocks.grids.levels import BOUND, SURE, bounded_levels, odd_levels
from quantize_cli.blocks.iq3.grid import FULL, LENGTH, NUMBERS, PATTERNS, SHORT, WAS_ON_GRID, Table
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import new_lanes
from quantize_cli.simd.rounding import nearest_int
from quantize_cli.simd.vector import (
    LANES,
    NARROW,
    Floats,
    any_lane,
    bits_of,
    first_lane,
    lane_bits,
    lane_numbers,
    load,
    load_ints,
    load_narrow,
    mask_of,
    max_lane,
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
#: Bits of a level in a pattern, and its largest level.
_BITS, _TOP_LEVEL = 3, 7
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
#: LANES * q the candidate scales times q = 1, 3 ... 15; in the refinement at q the scale times q.
X, W, ROOT, SCALES = 0, SUPER_BLOCK, 2 * SUPER_BLOCK, 3 * SUPER_BLOCK
_SUMS = SCALES + LANES
_PRODUCTS = _SUMS + 2 * LANES
_FLOATS = _PRODUCTS + 17 * LANES
#: int32: the codes of the 64 points; 32 times eight signs, bit i of number k set where element 8 k + i is negative;
#: room for a lane, and for each group of a sub-block a vector of the candidates' patterns, as places in the table; for
#: each group a vector of the first points of their lists, and one of the best points, each with room behind it; bits
#: for each group, of the candidates whose list has one point alone; the queue, two numbers for each run: its group's
#: number times LANES plus its first candidate, and its list.
CODES, SIGNS = 0, GROUPS
_PLACES = SIGNS + SUPER_BLOCK // 8 + LANES
_FIRSTS = _PLACES + _GROUPS_HERE * LANES
_TRIALS = _FIRSTS + _GROUPS_HERE * LANES + LANES
_ALONE = _TRIALS + _GROUPS_HERE * 2 * LANES
_QUEUE = _ALONE + LANES
_INTS = _QUEUE + 2 * (_GROUPS_HERE * LANES + LANES)


@maker
def new_work() -> tuple[FloatWork, IntWork]:
    """Allocate both."""
    floats, ints = new_lanes(_FLOATS // LANES), new_lanes(_INTS // LANES).view(np.int32)
    floats[:] = 0
    ints[:] = 0
    return floats, ints


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
        signs = lane_bits(~(x >= F(0)))
        for k in range(LANES // 8):
            ints[SIGNS + start // 8 + k] = signs >> 8 * k & 255


@inner
def _bounded(values: Floats) -> bool:
    """Tell whether all values can be rounded by `bounded_levels`."""
    return not any_lane(~(values < BOUND))


@inner
def _round_groups(start: int, inverse: Floats, bounded: bool, floats: FloatWork, ints: IntWork) -> None:
    """Round every four magnitudes of the sub-block at element `start` for all candidates: places of their lists."""
    for k in range(_GROUPS_HERE):
        at = X + start + 4 * k
        pattern = splat_int(I(0))
        if bounded:
            far = splat(F(0))
            for i in range(4):
                level, off = bounded_levels(inverse * floats[at + i], I(_TOP_LEVEL))
                pattern |= level << I(_BITS * i)
                far = select(off > far, off, far)
            pattern &= I(PATTERNS - 1)
            pattern += select(far > SURE, I(FULL), splat_int(I(SHORT)))
        else:
            for i in range(4):
                pattern |= odd_levels(inverse * floats[at + i], I(_TOP_LEVEL)) << I(_BITS * i)
            pattern += I(FULL)
        store_ints(ints, _PLACES + LANES * k, pattern)


@inner
def _starts(k: int, candidates: int, ints: IntWork) -> int:
    """Find the candidates at which a run starts in group k, as bits; no run is longer than NARROW."""
    places = _PLACES + LANES * k
    starts = int(lane_bits(load_ints(ints, places) != load_ints(ints, places - 1))) | 1
    going_on = ~starts
    for length in (1, 2, 4):  # then a bit is set where NARROW = 8 candidates start no run
        going_on &= going_on >> length
    for _ in range(LANES // NARROW - 1):
        starts |= (starts << NARROW) & (going_on << NARROW - 1)
    return starts & ((1 << candidates) - 1)


@inner
def _queue_runs(candidates: int, grid: Table, ints: IntWork) -> int:
    """Queue the runs that have points to choose from, after `_round_groups`; return how many.

    The other ones get the first point on their list.
    """
    count = 0
    for k in range(_GROUPS_HERE):
        left = _starts(k, candidates, ints)
        alone = 0
        while left != 0:
            lane = first_lane(mask_of(I(left)))
            left &= left - 1
            points = grid[ints[_PLACES + LANES * k + lane]]
            choice = points & (1 << LENGTH) - 1 > 1
            store_narrow_ints(ints, _FIRSTS + LANES * k + lane, narrow(splat_int(grid[points >> LENGTH])))
            rest = -1 << lane
            alone = alone & ~rest | (0 if choice else rest)
            ints[_QUEUE + 2 * count] = LANES * k + lane
            ints[_QUEUE + 2 * count + 1] = points
            count += 1 if choice else 0
        ints[_ALONE + k] = I(alone)
    return count


@inner
def _choose(start: int, count: int, grid: Table, floats: FloatWork, ints: IntWork) -> None:
    """Find the best points for as many runs in the queue; what is behind a run is overwritten by the next ones."""
    for number in range(count):
        run, points = ints[_QUEUE + 2 * number] & 0xFFFF, ints[_QUEUE + 2 * number + 1]
        lane = run % LANES
        at = start + 4 * (run // LANES)
        x0, x1 = narrow(splat(floats[X + at])), narrow(splat(floats[X + at + 1]))
        x2, x3 = narrow(splat(floats[X + at + 2])), narrow(splat(floats[X + at + 3]))
        w0, w1 = narrow(splat(floats[ROOT + at])), narrow(splat(floats[ROOT + at + 1]))
        w2, w3 = narrow(splat(floats[ROOT + at + 2])), narrow(splat(floats[ROOT + at + 3]))
        first = points >> LENGTH
        chosen = narrow(splat_int(grid[first]))
        best = narrow(splat(_FLOAT_MAX))
        products = _PRODUCTS + lane
        for place in range(first, first + (points & (1 << LENGTH) - 1)):
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
        store_narrow_ints(ints, _TRIALS + 2 * LANES * (run // LANES) + lane, chosen)


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
    _round_groups(start, inverse, _bounded(inverse * largest), floats, ints)
    _choose(start, _queue_runs(candidates, grid, ints), grid, floats, ints)
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for k in range(_GROUPS_HERE):
        alone = mask_of(ints[_ALONE + k])
        code = select(alone, load_ints(ints, _FIRSTS + LANES * k), load_ints(ints, _TRIALS + 2 * LANES * k))
        store_ints(ints, _TRIALS + 2 * LANES * k, code)
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
def _round_again(start: int, inverse: np.float32, floats: FloatWork, ints: IntWork) -> None:
    """Round every four magnitudes of the sub-block at element `start`: places of their lists, side by side."""
    value = load(floats, X + start) * inverse
    level, off = odd_levels(value, I(_TOP_LEVEL)), splat(F(1))
    if _bounded(value):
        level, off = bounded_levels(value, I(_TOP_LEVEL))
    store_ints(ints, _TRIALS, level & I(_TOP_LEVEL))
    unsure = int(lane_bits(off > SURE))
    for k in range(_GROUPS_HERE):
        pattern = FULL if unsure >> 4 * k & 15 else SHORT
        for i in range(4):
            pattern += ints[_TRIALS + 4 * k + i] << _BITS * i
        ints[_PLACES + k] = pattern


@inner
def _nearest(at: int, points: int, grid: Table, floats: FloatWork) -> int:
    """Find the best point on a list for the four magnitudes at element `at`, in the refinement."""
    first = points >> LENGTH
    chosen = int(grid[first])
    best = _FLOAT_MAX
    length = points & (1 << LENGTH) - 1
    for place in range(first, first + (length if length > 1 else 0)):
        code = int(grid[place])
        distance = F(0)
        for i in range(4):
            off = floats[X + at + i] - floats[_PRODUCTS + (code >> 4 * i & 15)]
            distance += floats[ROOT + at + i] * off * off
        chosen = code if distance < best else chosen
        best = distance if distance < best else best
    return chosen


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
        _round_again(sub_block * SUB_BLOCK, F(1) / scale, floats, ints)
        for magnitude in range(1, 16, 2):
            floats[_PRODUCTS + magnitude] = scale * F(magnitude)
        sum_qx = F(0)
        sum_q2 = F(0)
        for k in groups:
            if search.whole or not ints[CODES + k] & WAS_ON_GRID:
                ints[CODES + k] = _nearest(4 * k, grid[ints[_PLACES + k % _GROUPS_HERE]], grid, floats)
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
        # 0, -0 or positive: in order as integers.
        largest = I(max_lane(bits_of(load(floats, X + start)))).view(np.float32)
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
