"""Slabs cover every tensor in order, with whole experts or a part of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantize_cli.architectures.maps import Transpose
from quantize_cli.run.slabs import SLAB_WEIGHTS, slabs_of

SHAPES = [(5,), (7, 3), (1, 9), (3, 4, 5), (2, 3, 4, 5), (2, 1, 3), (3, 1)]


@pytest.fixture
def slabs(planned, arrays, plan_of):
    """(shape, ..., weights) -> the slabs of tensors of these shapes."""

    def make(*shapes, weights=SLAB_WEIGHTS):
        source = arrays(source=np.zeros(1, np.float32))
        return list(slabs_of([plan_of(*(planned(source, shape) for shape in shapes))], weights))

    return make


@pytest.mark.parametrize("weights", [1, 4, 10, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_is_in_one_slab(shape, weights, slabs):
    found = slabs(shape, weights=weights)
    tensor = found[0].tensor
    assert [row for slab in found for row in range(slab.start, slab.stop)] == list(range(tensor.rows))
    assert [slab.first for slab in found] == [True] + [False] * (len(found) - 1)
    assert [slab.last for slab in found] == [False] * (len(found) - 1) + [True]
    assert sum(slab.weights for slab in found) == np.prod(shape)
    height = shape[-2] if len(shape) > 1 else 1
    for slab in found:
        whole = slab.start % height == 0 and slab.stop % height == 0
        assert whole or slab.start // height == (slab.stop - 1) // height
        assert slab.last_of_expert == (slab.stop % height == 0)
        assert slab.weights <= weights or slab.stop == slab.start + 1


def test_a_slab_holds_as_many_whole_experts_as_fit(slabs):
    assert [(slab.start, slab.stop) for slab in slabs((7, 2, 5), weights=31)] == [(0, 6), (6, 12), (12, 14)]
    assert len(slabs((100_000, 1, 4), weights=1 << 18)) == 2


@pytest.mark.parametrize("own", [{"importance": "tensor"}, {"maps": (Transpose(5, 2),)}])
def test_an_expert_with_an_importance_or_a_matrix_of_its_own_is_alone(own, planned, arrays, plan_of):
    tensor = planned(arrays(source=np.zeros(1, np.float32)), (3, 2, 5))
    found = list(slabs_of([plan_of(tensor), plan_of(replace(tensor, **own))][:: -1 if "maps" in own else 1], 1000))
    assert [(slab.start, slab.stop) for slab in found] == [(0, 2), (2, 4), (4, 6)]


def test_a_row_wider_than_a_slab_is_a_slab(slabs):
    found = slabs((2, SLAB_WEIGHTS + 1), (3 * SLAB_WEIGHTS,))
    assert [(slab.start, slab.stop) for slab in found] == [(0, 1), (1, 2), (0, 1)]


def test_padding_follows_the_last_slab_alone(planned, arrays, plan_of):
    tensor = planned(arrays(source=np.zeros(1, np.float32)), (3, 5))
    longer = replace(tensor, type="F16", nbytes=30)
    found = list(slabs_of([plan_of(tensor), plan_of(longer)], 5))
    assert [[slab.padding(made) for made in slab.tensors] for slab in found] == [[0, 0], [0, 0], [4, 2]]
