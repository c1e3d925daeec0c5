"""The search of Q3_K without importance: levels -4..3 that are changed one by one.

Method: ggml-quants.c, `make_q3_quants`: from the levels of the plain scale, change one level at a time while that lets
the least-squares scale, with weights x^2, explain more, in at most five rounds over the elements of a sub-block.

A lane that one round left as it was cannot change in the next. After the first round these are four of five; the
others, from all sub-blocks, go on together in full vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.k.symmetric import SUB_BLOCK, SUB_BLOCKS
from quantize_cli.blocks.search.symmetric import GROUP_MAX_EPS, first_extreme, levels_from_zero
from quantize_cli.simd.compile import inner, maker
from quantize_cli.simd.lanes import Lanes, new_lanes
from quantize_cli.simd.vector import (
    LANES,
    Floats,
    Ints,
    any_lane,
    bits_of,
    gather,
    load,
    load_ints,
    magnitude,
    select,
    splat,
    splat_int,
    store,
    store_ints,
    to_floats,
)

F = np.float32
I = np.int32  # noqa: E741
BOTTOM = -4
ROUNDS = 5

#: A sub-block's vectors: its 16 levels, and what they sum up to.
SUM_LX, SUM_L2 = SUB_BLOCK * LANES, (SUB_BLOCK + 1) * LANES
STATE_SIZE = (SUB_BLOCK + 2) * LANES


class OneByOne(NamedTuple):
    """Room for the search."""

    states: Lanes  #: of 16 sub-blocks: levels -4..3 as float32, sums of x^2 * x * l and of x^2 * l * l
    changed: NDArray[np.int32]  #: 1 vector
    active: NDArray[np.int32]  #: LANES * sub-block + lane of those that have not settled, and one vector more
    x: Lanes  #: 16 vectors: values of such lanes
    state: Lanes  #: and their state, before a round
    found: Lanes  #: and after it


@maker
def new_one_by_one() -> OneByOne:
    """Allocate the room."""
    return OneByOne(
        new_lanes(SUB_BLOCKS * STATE_SIZE // LANES),
        np.empty(LANES, np.int32),
        np.zeros((SUB_BLOCKS + 1) * LANES, np.int32),
        new_lanes(SUB_BLOCK),
        new_lanes(STATE_SIZE // LANES),
        new_lanes(STATE_SIZE // LANES),
    )


@inner
def _level(value: Floats) -> Floats:
    return to_floats(levels_from_zero(value, I(BOTTOM)) + I(BOTTOM))


@inner
def _start(x: Lanes, extreme: Floats, state: Lanes) -> None:
    """Compute the levels of a sub-block under the plain scale, and their sums."""
    inverse = F(BOTTOM) / extreme
    sum_lx = splat(F(0))
    sum_l2 = splat(F(0))
    for i in range(0, SUB_BLOCK * LANES, LANES):
        value = load(x, i)
        level = _level(inverse * value)
        weight = value * value
        sum_lx += weight * value * level
        sum_l2 += weight * level * level
        store(state, i, level)
    store(state, SUM_LX, sum_lx)
    store(state, SUM_L2, sum_l2)


@inner
def _round(x: Lanes, state: Lanes, found: Lanes) -> Ints:
    """Do one round over the elements of a sub-block: put the state after it into `found`.

    Return what is not 0 in lanes where a level changed. A mask to be carried along would be packed and unpacked for
    each element. And levels that took their own place would be stored under a mask, which AMD's processors do slowly.
    """
    changed = splat_int(I(0))
    sum_lx = load(state, SUM_LX)
    sum_l2 = load(state, SUM_L2)
    for i in range(0, SUB_BLOCK * LANES, LANES):
        value = load(x, i)
        level = load(state, i)
        weight = value * value
        rest_lx = sum_lx - weight * value * level
        rest_l2 = sum_l2 - weight * level * level
        wanted = value * rest_l2
        wanted /= rest_lx
        other = _level(wanted)
        new_lx = rest_lx + weight * value * other
        new_l2 = rest_l2 + weight * other * other
        # Better is rest_lx > 0, new_l2 > 0, other != level, and new > old, without masks that are combined.
        new = new_lx * new_lx * sum_l2
        old = magnitude(sum_lx * sum_lx * new_l2)
        smaller = select(rest_lx < new_l2, rest_lx, new_l2)
        new = select(smaller > F(0), select(other != level, new, F(0)), F(0))
        better = new > old
        other = select(better, other, level)
        store(found, i, other)
        sum_lx = select(better, new_lx, sum_lx)
        sum_l2 = select(better, new_l2, sum_l2)
        changed |= bits_of(other) ^ bits_of(level)
    store(found, SUM_LX, sum_lx)
    store(found, SUM_L2, sum_l2)
    return changed


@inner
def _settle(x: Lanes, room: OneByOne, first: int, count: int) -> None:
    """Do the other rounds of the `count` <= LANES active lanes from number `first` on."""
    lanes = load_ints(room.active, first)  # beyond `count` any lanes, whose results are dropped
    lane = lanes & I(LANES - 1)
    places = (lanes - lane) * I(SUB_BLOCK) + lane
    for i in range(0, SUB_BLOCK * LANES, LANES):
        store(room.x, i, gather(x, places + I(i)))
    places = (lanes - lane) * I(STATE_SIZE // LANES) + lane
    for i in range(0, STATE_SIZE, LANES):
        store(room.state, i, gather(room.states, places + I(i)))
    state, found = room.state, room.found
    for _ in range(1, ROUNDS):
        changed = any_lane(_round(room.x, state, found) != I(0))
        state, found = found, state
        if not changed:
            break
    for k in range(count):
        number = room.active[first + k]
        place = number // LANES * STATE_SIZE + number % LANES
        for i in range(0, STATE_SIZE, LANES):
            room.states[place + i] = state[i + k]


@inner
def search_one_by_one(x: Lanes, room: OneByOne, scales: Lanes) -> None:
    """Find the scales of 16 sub-blocks in every lane, and in room.states their levels.

    Args:
        x: the super-blocks' values, flat float32[256 * LANES].
        room: receives the levels, and all between.
        scales: receives the scales, flat float32[16 * LANES].
    """
    count = 0
    for j in range(SUB_BLOCKS):
        part = x[j * SUB_BLOCK * LANES : (j + 1) * SUB_BLOCK * LANES]
        state = room.states[j * STATE_SIZE : (j + 1) * STATE_SIZE]
        extreme = first_extreme(part, SUB_BLOCK)
        _start(part, extreme, room.state)
        changed = _round(part, room.state, state)
        zero = magnitude(extreme) < GROUP_MAX_EPS
        if any_lane(zero):
            for i in range(0, SUB_BLOCK * LANES, LANES):
                store(state, i, select(zero, F(BOTTOM), load(state, i)))
            store(state, SUM_L2, select(zero, F(0), load(state, SUM_L2)))
        store_ints(room.changed, 0, select(zero, I(0), select(changed != I(0), I(1), changed)))
        for lane in range(LANES):
            room.active[count] = j * LANES + lane
            count += room.changed[lane]
    for first in range(0, count, LANES):
        _settle(x, room, first, min(LANES, count - first))
    for j in range(SUB_BLOCKS):
        sum_lx = load(room.states, j * STATE_SIZE + SUM_LX)
        sum_l2 = load(room.states, j * STATE_SIZE + SUM_L2)
        store(scales, j * LANES, select(sum_l2 > F(0), sum_lx / sum_l2, F(0)))
