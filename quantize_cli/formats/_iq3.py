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
from quantize_cli.formats._iq3_grid import ON_GRID, Grid
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
#: Set beside a code: the pattern itself was on the grid.
_WAS_ON_GRID = 1 << 16
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
    codes: NDArray[np.int32]  #: 64, of the points, some with _WAS_ON_GRID
    trials: NDArray[np.int32]  #: 8 vectors: the codes of all candidates for a sub-block
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
        np.empty(_GROUPS_HERE * LANES, np.int32),
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
def _distance(code: Ints, x: Four, root: Four, scale: Floats) -> Floats:
    """Weighted squared distance from `scale` times a point."""
    difference = scale * _nibble(code, 0) - x[0]
    total = root[0] * difference * difference
    difference = scale * _nibble(code, 1) - x[1]
    total += root[1] * difference * difference
    difference = scale * _nibble(code, 2) - x[2]
    total += root[2] * difference * difference
    difference = scale * _nibble(code, 3) - x[3]
    return total + root[3] * difference * difference


@kernel
def _round(x: Floats, inverse: Floats) -> tuple[Ints, Floats]:
    """The nearest level, and how far from it in steps: less than 1/2 unless the level's rounding was none."""
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
def nearest_points(x: Four, root: Four, inverse: Floats, scale: Floats, grid: Grid) -> Ints:
    """Codes of the points for `x`; the first of the smallest distance, and _WAS_ON_GRID where nothing was looked for.

    Where every distance overflows, which ends the reference, it is the first of the list.
    """
    level, far = _round(x[0], inverse)
    pattern = level
    level, off = _round(x[1], inverse)
    pattern, far = pattern | level << I(3), _larger(far, off)
    level, off = _round(x[2], inverse)
    pattern, far = pattern | level << I(6), _larger(far, off)
    level, off = _round(x[3], inverse)
    pattern, far = pattern | level << I(9), _larger(far, off)

    head = gather_ints(grid.short, pattern)
    unsure = far > _SURE
    if any_lane(unsure):
        head = select(unsure, gather_ints(grid.full, pattern), head)
    start = head >> I(8)
    count = head & I(ON_GRID - 1)
    pair = gather_ints(grid.pairs, start)
    best = splat(_FLOAT_MAX)
    chosen = pair
    done = 0
    while True:
        for _ in range(2):
            distance = _distance(pair, x, root, scale)
            better = distance < best
            best = select(better, distance, best)
            chosen = select(better, pair, chosen)
            pair = pair >> I(16)
        done += 1
        more = count > I(done)
        if not any_lane(more):
            break
        pair = gather_ints(grid.pairs, start + select(more, splat_int(I(done)), I(0)))
    return chosen & I(0xFFFF) | (head & I(ON_GRID)) << I(9)


@kernel
def _four(values: NDArray[np.float32], start: int) -> Four:
    """The same four elements for all lanes."""
    return splat(values[start]), splat(values[start + 1]), splat(values[start + 2]), splat(values[start + 3])


@kernel
def _search(start: int, largest: np.float32, search: Search, grid: Grid, work: Work) -> None:
    """Choose among the candidates for the sub-block at element `start`, whose largest magnitude is given."""
    step = lane_numbers()
    step = select(step < I(2 * search.reach), step, I(2 * search.reach)) - I(search.reach)
    inverse = (_TOP + to_floats(step) * F(0.2)) / largest
    scale = F(1) / inverse
    sum_qx = splat(F(0))
    sum_q2 = splat(F(0))
    for k in range(_GROUPS_HERE):
        at = start + 4 * k
        code = nearest_points(_four(work.x, at), _four(work.root, at), inverse, scale, grid)
        store_ints(work.trials, k * LANES, code)
        for i in range(4):
            q = _nibble(code, i)
            sum_qx += work.w[at + i] * work.x[at + i] * q
            sum_q2 += work.w[at + i] * q * q
    store(work.scores, 0, sum_qx)
    store(work.scores, LANES, sum_q2)

    best = F(0)
    chosen = -1
    fitted = largest / _TOP
    for lane in range(2 * search.reach + 1):
        qx, q2 = work.scores[lane], work.scores[LANES + lane]
        if q2 > F(0) and qx * qx > best * q2:
            fitted = qx / q2
            best = fitted * qx
            chosen = lane
    work.scales[start // SUB_BLOCK] = fitted
    none = _ONES if search.whole else _ONES | _WAS_ON_GRID
    for k in range(_GROUPS_HERE):
        work.codes[start // 4 + k] = none if chosen < 0 else work.trials[k * LANES + chosen]


@kernel
def _to_refine(sub_block: int, search: Search, work: Work) -> bool:
    """Leave _WAS_ON_GRID only at codes that are not to be refined; returns whether there are others."""
    codes = work.codes[sub_block * _GROUPS_HERE : (sub_block + 1) * _GROUPS_HERE]
    found = False
    for k in range(_GROUPS_HERE):
        found |= codes[k] & _WAS_ON_GRID == 0
    found = found and work.scales[sub_block] > F(0)
    for k in range(_GROUPS_HERE):
        if not found:
            codes[k] |= _WAS_ON_GRID
        elif search.whole:
            codes[k] &= ~_WAS_ON_GRID
    return found


@kernel
def _strided(values: NDArray[np.float32], first: Ints) -> Four:
    """Four elements in a row of each lane."""
    return gather(values, first), gather(values, first + I(1)), gather(values, first + I(2)), gather(values, first + I(3))


@kernel
def _refine(search: Search, grid: Grid, work: Work) -> None:
    """Round once more under the scales that the search found, and fit these again."""
    refined = 0
    for sub_block in range(SUB_BLOCKS):
        refined |= int(_to_refine(sub_block, search, work)) << sub_block
    if refined == 0:
        return
    for start in range(0, GROUPS, LANES):
        group = lane_numbers() + I(start)
        scale = gather(work.scales, group >> I(3))
        first = group << I(2)
        code = nearest_points(_strided(work.x, first), _strided(work.root, first), F(1) / scale, scale, grid)
        old = load_ints(work.codes, start)
        store_ints(work.codes, start, select((old & I(_WAS_ON_GRID)) == I(0), code, old))
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
