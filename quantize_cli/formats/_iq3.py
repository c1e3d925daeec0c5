"""What IQ3_XXS and IQ3_S share: the search for a scale and for points of a grid, in sub-blocks of 32 weights.

Method: ggml-quants.c, `quantize_row_iq3_xxs_impl` and `quantize_row_iq3_s_impl`. The signs are taken off; for a row of
candidate scales, every four magnitudes are rounded to a pattern of levels, and to the best point near it if the grid
lacks that; of the candidates the one whose least-squares scale explains most wins, and is then refined once.

Here lane l of a vector is candidate l, all of one sub-block: their patterns are alike, so they read the same few lines
of the grid's tables, and their lists are about as long. In the refinement a lane is a group of four weights.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.formats._compile import kernel
from quantize_cli.formats._half import nearest_int, nearest_ints
from quantize_cli.formats._iq3_grid import PATTERNS, WAS_ON_GRID, Grid
from quantize_cli.formats._vector import (
    LANES,
    Floats,
    Ints,
    Mask,
    any_lane,
    gather,
    gather_ints,
    lane_numbers,
    load,
    load_ints,
    magnitude,
    nowhere,
    select,
    splat,
    splat_int,
    square_root,
    store,
    store_ints,
    to_floats,
)
from quantize_cli.formats.base import Importance, Packed

F = np.float32
I = np.int32  # noqa: E741
SUPER_BLOCK = 256
SUB_BLOCK = 32
SUB_BLOCKS = 8
#: Groups of four weights, of which each becomes a point of the grid.
GROUPS = 64
_GROUPS_HERE = SUB_BLOCK // 4
#: The largest magnitude of a level, and the code of a point, four nibbles, whose magnitudes are all 1.
_TOP = F(15)
_ONES = 0x1111
#: As long as no magnitude is nearer to the middle between two levels than this, the short lists do: half a step less
#: what rounding may add up to, and more.
_SURE = F(0.4999)
_FLOAT_MAX = F(np.finfo(np.float32).max)

#: One element, or four in a row, of each lane.
Four: TypeAlias = tuple[Floats, Floats, Floats, Floats]


class Search(NamedTuple):
    """What differs between the formats."""

    reach: int  #: candidates have the inverse scales (15 + i / 5) / max, i = -reach..reach; there are at most LANES
    least: np.float32  #: a sub-block whose largest magnitude is less has scale 0
    whole: bool  #: the refinement starts all groups of a sub-block anew, not only those that were off the grid


class Work(NamedTuple):
    """One super-block."""

    x: NDArray[np.float32]  #: 256 magnitudes, the format's signs taken off
    w: NDArray[np.float32]  #: 256 weights of squared errors
    root: NDArray[np.float32]  #: their square roots, by which points near a pattern are compared
    signs: Packed  #: 32 bytes: bit i of byte k is set where element 8 k + i is negative
    scales: NDArray[np.float32]  #: 8, of the sub-blocks
    codes: NDArray[np.int32]  #: 64, of the points, some with WAS_ON_GRID
    products: NDArray[np.float32]  #: 17 vectors: the candidate scales times q = 1, 3 ... 15 at LANES * q, zeros between
    patterns: NDArray[np.int32]  #: 1 vector: all candidates' patterns of four magnitudes
    trials: NDArray[np.int32]  #: 16 vectors: the codes of all candidates for group k of a sub-block at 2 * k * LANES
    scores: NDArray[np.float32]  #: 2 vectors: their sums


@kernel
def new_work() -> Work:
    """Allocate it."""
    return Work(
        np.empty(SUPER_BLOCK, np.float32),
        np.empty(SUPER_BLOCK, np.float32),
        np.empty(SUPER_BLOCK, np.float32),
        np.empty(SUPER_BLOCK // 8, np.uint8),
        np.empty(SUB_BLOCKS, np.float32),
        np.empty(GROUPS, np.int32),
        np.zeros(17 * LANES, np.float32),
        np.empty(LANES, np.int32),
        np.empty(2 * _GROUPS_HERE * LANES, np.int32),
        np.empty(2 * LANES, np.float32),
    )


@kernel
def weigh(values: NDArray[np.float32], importance: Importance | None, number: int, work: Work) -> None:
    """Fill in the weights, their roots, and the values less their signs, of one super-block.

    Args:
        values: float32[256].
        importance: float32[blocks in a row, 256] or None.
        number: of the super-block, by which its importance is found.
        work: receives w, root, x and signs.
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
        store(work.w, start, weight)
        store(work.root, start, square_root(weight))
        store(work.x, start, select(x >= F(0), x, -x))
    for k in range(SUPER_BLOCK // 8):
        signs = 0
        for i in range(8):
            signs |= (0 if values[8 * k + i] >= F(0) else 1) << i
        work.signs[k] = signs


@kernel
def _nibble(code: Ints, i: int) -> Floats:
    """Magnitude i of the four of a code."""
    return to_floats(code >> I(4 * i) & I(15))


@kernel
def _round(x: np.float32, inverse: Floats) -> tuple[Ints, Floats]:
    """The nearest levels to x * inverse, and how far from them in steps: below 1/2 where the rounding was one."""
    value = F(0.5) * (inverse * x - F(1))
    level = nearest_ints(value)
    level = select(level > I(0), level, I(0))
    level = select(level < I(7), level, I(7))
    value = select(value > F(0), value, F(0))
    value = select(value < F(7), value, F(7))
    return level, magnitude(value - to_floats(level))


@kernel
def _larger(a: Floats, b: Floats) -> Floats:
    return select(a > b, a, b)


@kernel
def _patterns(x: NDArray[np.float32], at: int, inverse: Floats) -> tuple[Ints, bool]:
    """The patterns of four magnitudes from `at` on, and whether the short lists will do for all of them."""
    pattern, far = _round(x[at], inverse)
    for i in range(1, 4):
        level, off = _round(x[at + i], inverse)
        pattern = pattern | level << I(3 * i)
        far = _larger(far, off)
    return pattern, not any_lane(far > _SURE)


@kernel
def _place(at: int, candidates: int, short: bool, grid: Grid, work: Work) -> None:
    """The best points for the four magnitudes from `at` on, whose patterns are in work.patterns, for all candidates.

    Neighbouring candidates mostly have the same pattern, and so the same list: it is walked once for all of them, which
    are in the first lanes of vectors that start there. What the lanes behind them get is overwritten by the next ones.
    """
    patterns, products, heads, codes = work.patterns, work.products, grid.heads, grid.codes
    trials = (at % SUB_BLOCK // 4) * 2 * LANES
    x0, x1, x2, x3 = splat(work.x[at]), splat(work.x[at + 1]), splat(work.x[at + 2]), splat(work.x[at + 3])
    r0, r1, r2, r3 = splat(work.root[at]), splat(work.root[at + 1]), splat(work.root[at + 2]), splat(work.root[at + 3])
    lists = 0 if short else PATTERNS
    lane = 0
    while lane < candidates:
        pattern = patterns[lane]
        head = heads[lists + pattern]
        first = head >> 8
        chosen = splat_int(codes[first])
        best = splat(_FLOAT_MAX)
        for place in range(first, first + (head & 127)):
            code = codes[place]
            off = x0 - load(products, lane + LANES * (code & 15))
            distance = r0 * off * off
            off = x1 - load(products, lane + LANES * (code >> 4 & 15))
            distance += r1 * off * off
            off = x2 - load(products, lane + LANES * (code >> 8 & 15))
            distance += r2 * off * off
            off = x3 - load(products, lane + LANES * (code >> 12 & 15))
            distance += r3 * off * off
            better = distance < best
            best = select(better, distance, best)
            chosen = select(better, code, chosen)
        store_ints(work.trials, trials + lane, chosen)
        lane += 1
        while lane < candidates and patterns[lane] == pattern:
            lane += 1


@kernel
def _search(start: int, largest: np.float32, search: Search, grid: Grid, work: Work) -> None:
    """Choose among the candidates for the sub-block at element `start`, whose largest magnitude is given."""
    x, w, trials = work.x, work.w, work.trials
    candidates = 2 * search.reach + 1
    step = lane_numbers()
    step = select(step < I(2 * search.reach), step, I(2 * search.reach)) - I(search.reach)
    inverse = (_TOP + to_floats(step) * F(0.2)) / largest
    scale = F(1) / inverse
    for q in range(1, 16, 2):
        store(work.products, q * LANES, scale * F(q))
    for at in range(start, start + SUB_BLOCK, 4):
        patterns, short = _patterns(x, at, inverse)
        store_ints(work.patterns, 0, patterns)
        _place(at, candidates, short, grid, work)
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for k in range(_GROUPS_HERE):
        code = load_ints(trials, 2 * k * LANES)
        for i in range(4):
            q = _nibble(code, i)
            weight = w[start + 4 * k + i]
            sum_qx += weight * x[start + 4 * k + i] * q
            sum_q2 += weight * q * q
    store(work.scores, 0, sum_qx)
    store(work.scores, LANES, sum_q2)

    scores, codes = work.scores, work.codes
    best = F(0)
    chosen = -1
    fitted = largest / _TOP
    for lane in range(candidates):
        qx, q2 = scores[lane], scores[LANES + lane]
        if q2 > F(0) and qx * qx > best * q2:
            fitted = qx / q2
            best = fitted * qx
            chosen = lane
    work.scales[start // SUB_BLOCK] = fitted
    none = _ONES if search.whole else _ONES | WAS_ON_GRID
    for k in range(_GROUPS_HERE):
        codes[start // 4 + k] = none if chosen < 0 else trials[2 * k * LANES + chosen]


@kernel
def _nearest_point(at: int, scale: np.float32, grid: Grid, work: Work) -> int:
    """Code of the best point for the four magnitudes from `at` on, by the whole list of their pattern."""
    x, root, codes = work.x, work.root, grid.codes
    inverse = F(1) / scale
    pattern = 0
    for i in range(4):
        pattern |= min(max(nearest_int(F(0.5) * (inverse * x[at + i] - F(1))), 0), 7) << 3 * i
    head = grid.heads[PATTERNS + pattern]
    first = head >> 8
    chosen = codes[first]
    best = _FLOAT_MAX
    for place in range(first, first + (head & 127)):
        code = codes[place]
        distance = F(0)
        for i in range(4):
            off = x[at + i] - scale * F(code >> 4 * i & 15)
            distance += root[at + i] * off * off
        if distance < best:
            best = distance
            chosen = code
    return chosen


@kernel
def _to_refine(sub_block: int, search: Search, work: Work) -> bool:
    """Leave WAS_ON_GRID only at codes that are not to be refined; returns whether there are others."""
    codes = work.codes[sub_block * _GROUPS_HERE : (sub_block + 1) * _GROUPS_HERE]
    found = False
    for k in range(_GROUPS_HERE):
        found |= codes[k] & WAS_ON_GRID == 0
    found = found and work.scales[sub_block] > F(0)
    for k in range(_GROUPS_HERE):
        if not found:
            codes[k] |= WAS_ON_GRID
        elif search.whole:
            codes[k] &= ~WAS_ON_GRID
    return found


@kernel
def _refine(search: Search, grid: Grid, work: Work) -> None:
    """Round once more under the scales that the search found, and fit these again."""
    refined = 0
    for sub_block in range(SUB_BLOCKS):
        refined |= int(_to_refine(sub_block, search, work)) << sub_block
    for k in range(GROUPS):
        if work.codes[k] & WAS_ON_GRID == 0:
            work.codes[k] = _nearest_point(4 * k, work.scales[k // _GROUPS_HERE], grid, work)
    for sub_block in range(SUB_BLOCKS):
        if refined >> sub_block & 1:
            sum_qx = F(0)
            sum_q2 = F(0)
            for i in range(sub_block * SUB_BLOCK, (sub_block + 1) * SUB_BLOCK):
                q = F(work.codes[i // 4] >> 4 * (i % 4) & 15)
                sum_qx += work.w[i] * work.x[i] * q
                sum_q2 += work.w[i] * q * q
            if sum_q2 > F(0):
                work.scales[sub_block] = sum_qx / sum_q2


@kernel
def fit_points(search: Search, grid: Grid, work: Work) -> np.float32:
    """Find scales and codes of the super-block in x, w and root; returns the largest scale.

    Signs are flipped where a scale came out negative, and cleared where a sub-block counts as zero.
    """
    for sub_block in range(SUB_BLOCKS):
        start = sub_block * SUB_BLOCK
        largest = work.x[start]
        for i in range(start + 1, start + SUB_BLOCK):
            largest = max(largest, work.x[i])
        if largest < search.least or largest == F(0):
            work.scales[sub_block] = F(0)
            work.codes[start // 4 : start // 4 + _GROUPS_HERE] = _ONES
            work.signs[start // 8 : start // 8 + 4] = 0
        else:
            _search(start, largest, search, grid, work)
    _refine(search, grid, work)
    highest = F(0)
    for sub_block in range(SUB_BLOCKS):
        if work.scales[sub_block] < F(0):
            work.scales[sub_block] = -work.scales[sub_block]
            for k in range(4 * sub_block, 4 * (sub_block + 1)):
                work.signs[k] ^= np.uint8(255)
        highest = max(highest, work.scales[sub_block])
    return highest


@kernel
def point_number(code: int, grid: Grid) -> int:
    """Number of the point with that code."""
    pattern = (code >> 1 & 7) | (code >> 5 & 7) << 3 | (code >> 9 & 7) << 6 | (code >> 13 & 7) << 9
    return int(grid.numbers[pattern])


@kernel
def scale_level(scale: np.float32, inverse: np.float32) -> int:
    """Level 0..15 of a scale, which stands for 2 * level + 1."""
    return min(max(nearest_int(F(0.5) * (inverse * scale - F(1))), 0), 15)
