"""The choice under a budget, held against all choices there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli.mixes.allocation import Option, least_cost, smallest

MENUS = st.lists(
    st.lists(st.builds(Option, st.integers(1, 40), st.integers(0, 50).map(float)), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)


def taken(menus, chosen):
    options = [menu[index] for menu, index in zip(menus, chosen, strict=True)]
    return sum(option.nbytes for option in options), sum(option.cost for option in options)


def best(menus, room):
    """The least cost of all choices that fit."""
    fitting = [choice for choice in itertools.product(*menus) if sum(option.nbytes for option in choice) <= room]
    return min(sum(option.cost for option in choice) for choice in fitting)


@settings(max_examples=150, deadline=None)
@given(menus=MENUS, more=st.integers(0, 120))
def test_it_fits_and_is_the_best(menus, more):
    room = smallest(menus) + more
    nbytes, cost = taken(menus, least_cost(menus, room))
    assert nbytes <= room
    assert cost == best(menus, room)


def like_a_model(tensors, seed):
    """Menus whose costs fall by a factor of about 4 a bit, as those of types do."""
    random = np.random.default_rng(seed)
    bits = np.array([2.6, 3.1, 3.4, 4.25, 4.5, 5.5, 6.6, 8.5])
    sizes = random.integers(1, 400, tensors) * 1024
    scales = random.lognormal(0, 2, tensors) * sizes
    return [
        [Option(int(size * b), float(scale * 4.0**-b * random.uniform(0.8, 1.25))) for b in bits]
        for size, scale in zip(sizes, scales, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_small_models_get_the_best(seed):
    menus = [menu[::2] for menu in like_a_model(6, seed)]
    ends = smallest(menus), sum(max(option.nbytes for option in menu) for menu in menus)
    for room in np.linspace(*ends, 9).astype(int).tolist():
        nbytes, cost = taken(menus, least_cost(menus, room))
        assert nbytes <= room
        assert cost == pytest.approx(best(menus, room), rel=1e-12)


def test_the_budget_of_a_real_size_is_used_up():
    menus = like_a_model(300, 1)
    room = int(1.5 * smallest(menus))
    chosen = least_cost(menus, room)
    nbytes, cost = taken(menus, chosen)
    assert nbytes <= room
    assert room - nbytes < 0.0002 * room
    # At any price of a byte, no choice that fits costs less than what all menus' best cost, less the price of the room.
    sizes, costs = np.array(menus).transpose(2, 0, 1)
    bound = max((costs + price * sizes).min(axis=1).sum() - price * room for price in np.geomspace(1e-3, 1, 2000))
    assert bound <= cost <= 1.0002 * bound
    assert chosen == least_cost(menus, room)


def test_all_that_is_wanted_fits():
    menus = like_a_model(5, 2)
    assert least_cost(menus, 10**12) == [min(range(8), key=lambda i: menu[i].cost) for menu in menus]
    assert least_cost([], 0) == []
