"""The cheapest choice of one option a menu whose sizes together fit: a knapsack of many menus. Pure.

The lower convex hulls of the menus give the choices that are the best for some price of a byte (Lagrange's relaxation):
steps along them, steepest first, are that price falling. A step that does not fit is left out, and smaller ones take
its place. The price at which the first step did not fit also bounds what any choice costs. So an option which alone
costs more than what is left between the bound and the choice found is ruled out, and those that stay are few enough to
try (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The most partial choices that are kept. With fewer the choice is the best there is; of more the most promising stay.
_MOST_STATES = 1 << 13
#: What rounding may add to a sum, as a share of it.
_ROUNDING = 1e-9


class Option(NamedTuple):
    """One entry of a menu."""

    nbytes: int
    cost: float


def smallest(menus: Sequence[Sequence[Option]]) -> int:
    """Return the bytes of the smallest choice."""
    return sum(min(option.nbytes for option in menu) for menu in menus)


def least_cost(menus: Sequence[Sequence[Option]], room: int) -> list[int]:
    """Choose one option of each menu, so that they take at most `room` bytes and cost the least together.

    Args:
        menus: The options; no menu is empty, and costs are finite.
        room: At least `smallest(menus)`.

    Returns:
        For each menu the index of its option.
    """
    chosen, price = _along_the_hulls(menus, room)
    return chosen if price is None else _improved(menus, chosen, price, room)


def _along_the_hulls(menus: Sequence[Sequence[Option]], room: int) -> tuple[list[int], float | None]:
    """Return a good choice, and the price of a byte at which a step did not fit; None if all that helps fits."""
    hulls = [_hull(menu) for menu in menus]
    chosen = [hull[0] for hull in hulls]
    free = room - sum(menu[index].nbytes for menu, index in zip(menus, chosen, strict=True))
    price: float | None = None
    ended: set[int] = set()  # the steps of a hull follow each other
    for slope, number, index in sorted(_steps(menus, hulls), key=itemgetter(0)):
        if number in ended:
            continue
        more = menus[number][index].nbytes - menus[number][chosen[number]].nbytes
        if more > free:
            ended.add(number)
            price = -slope if price is None else price
        else:
            chosen[number] = index
            free -= more
    return chosen, price


def _hull(menu: Sequence[Option]) -> list[int]:
    """Return the indices of the lower convex hull, from the smallest option to the cheapest."""
    hull: list[int] = []
    for index in sorted(range(len(menu)), key=lambda index: menu[index]):
        option = menu[index]
        if hull and option.cost >= menu[hull[-1]].cost:
            continue
        while len(hull) > 1 and _slope(menu[hull[-2]], option) <= _slope(menu[hull[-2]], menu[hull[-1]]):
            hull.pop()
        hull.append(index)
    return hull


def _slope(here: Option, there: Option) -> float:
    """Return the cost of a byte, below 0, on the way from a smaller option to a larger one."""
    return (there.cost - here.cost) / (there.nbytes - here.nbytes)


def _steps(menus: Sequence[Sequence[Option]], hulls: Sequence[Sequence[int]]) -> Iterator[tuple[float, int, int]]:
    """Yield each step of each hull: what a byte of it costs, the menu, and the option that it leads to."""
    for number, (menu, hull) in enumerate(zip(menus, hulls, strict=True)):
        for here, there in pairwise(hull):
            yield _slope(menu[here], menu[there]), number, there


def _improved(menus: Sequence[Sequence[Option]], chosen: list[int], price: float, room: int) -> list[int]:
    """Return the best choice among those that the bound does not rule out, or `chosen` if none is better."""
    losses = [_losses(menu, price) for menu in menus]
    free = room - sum(menu[index].nbytes for menu, index in zip(menus, chosen, strict=True))
    gap = sum(float(loss[index]) for loss, index in zip(losses, chosen, strict=True)) + price * free
    gap += _ROUNDING * sum(abs(menu[index].cost) for menu, index in zip(menus, chosen, strict=True))
    kept = [np.flatnonzero(loss <= gap) for loss in losses]
    sizes = [
        np.array([option.nbytes for option in menu], np.int64)[held] for menu, held in zip(menus, kept, strict=True)
    ]
    left = sum(int(of_menu.min()) for of_menu in sizes)
    nbytes, loss = np.zeros(1, np.int64), np.zeros(1)
    trail: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []  # for each menu, each state's parent and option
    for held, of_menu, of_losses in zip(kept, sizes, losses, strict=True):
        left -= int(of_menu.min())
        sums, lost = (nbytes[:, None] + of_menu).ravel(), (loss[:, None] + of_losses[held]).ravel()
        rows = np.flatnonzero((sums <= room - left) & (lost <= gap))
        rows = _undominated(rows, sums, lost - price * sums)
        if len(rows) > _MOST_STATES:
            rows = np.sort(rows[np.argpartition(lost[rows], _MOST_STATES)[:_MOST_STATES]])
        if not len(rows):
            return chosen
        parents, options = np.divmod(rows, len(held))
        trail.append((parents, held[options]))
        nbytes, loss = sums[rows], lost[rows]
    state = int(np.argmin(loss - price * nbytes))
    if loss[state] + price * (room - int(nbytes[state])) >= gap:
        return chosen
    found = []
    for parents, options in reversed(trail):
        found.append(int(options[state]))
        state = int(parents[state])
    return found[::-1]


def _losses(menu: Sequence[Option], price: float) -> NDArray[np.float64]:
    """Return what each option costs more than the best one, if bytes are paid for too."""
    paid = np.array([option.cost + price * option.nbytes for option in menu], np.float64)
    least: np.float64 = paid.min()
    return paid - least


def _undominated(rows: NDArray[np.intp], nbytes: NDArray[np.int64], cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """Select the rows that no other row beats in bytes and cost."""
    rows = rows[np.lexsort((cost[rows], nbytes[rows]))]
    least = np.minimum.accumulate(cost[rows])
    return rows[np.concatenate(([True], cost[rows][1:] < least[:-1]))] if len(rows) else rows
