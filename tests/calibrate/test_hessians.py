"""The Hessians of a block's matrices: sums over all tokens, stage by stage, in the order of the sequences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import twin
from engine import Engine, relative, written
from small import CONTEXT, FAMILIES, SEQUENCES, Small, small

from quantize_cli.calibrate.curving import both_sides, curvature, shrunk
from quantize_cli.calibrate.hessians import Collector, Key, Summed, in_order, stages_of
from quantize_cli.calibrate.joining import Place

#: What the last names of a block's parameters are, stage by stage.
STAGES = {
    "llama": [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]],
    "mixtral": [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_up_proj"], ["down_proj"]],
    "qwen3-moe": [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_up_proj"], ["down_proj"]],
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    made = small(request.param, tmp_path_factory.mktemp("model"))
    with closing(made.engine):
        yield made


def last(parameter):
    return parameter.removesuffix(".weight").rpartition(".")[2]


def stages_and_run(model):
    """The stages of the first block, and what takes some sequences through it."""
    passage, joined, hidden = model.loaded()

    @torch.no_grad()
    def run(some):
        return passage.block(0, hidden[some])

    parameters = model.engine.skeleton.parameters(0)
    wanted = {name: held for name, held in parameters.items() if held.ndim > 1 and last(name) not in ("gate", "router")}
    return stages_of(wanted, lambda: run(slice(0, 1))), run, joined, parameters


def test_the_hessian_of_every_matrix(model):
    """In every stage, over all sequences, those of experts over the tokens that hit them."""
    stages, run, joined, parameters = stages_and_run(model)
    weights = {
        number: torch.rand(SEQUENCES, CONTEXT, generator=torch.Generator().manual_seed(number))
        for number, tensor in enumerate(joined.tensors)
        if not tensor.name.endswith("_exps.weight")
    }
    found = {}
    with ThreadPoolExecutor(1) as pool:
        for place, stage in enumerate(stages):
            later = [name for rest in stages[place + 1 :] for name in rest]
            collector = Collector(joined, weights, stage, later)

            def task(some, collector=collector):
                return lambda: collector.of_sequences(parameters, some, lambda: run(some))

            some = [slice(0, 2), slice(2, 5), slice(5, SEQUENCES)]
            summed_up = in_order(pool, map(task, some), 2)
            assert len(summed_up) > 0
            assert collector.nbytes >= sum(held.hessian.nbytes for held in summed_up.values())
            if len(summed_up) == len({(key.parameter, key.tensor) for key in summed_up}):  # without experts
                assert collector.nbytes == sum(held.hessian.nbytes for held in summed_up.values())
            found |= summed_up
    matrices = [held for held in twin.run(model.engine.whole, model.tokens) if held.tensor.startswith("blk.0.")]
    numbers = {tensor.name: number for number, tensor in enumerate(joined.tensors)}
    compared = 0
    for matrix in matrices:
        if "gate_inp" in matrix.tensor:
            continue
        number = numbers[matrix.tensor]
        mine = [
            summed
            for key, summed in found.items()
            if key.tensor == number and (key.matrix == matrix.expert or not matrix.tensor.endswith("_exps.weight"))
        ]
        inputs = torch.cat([held.reshape(-1, held.shape[-1]) for held in matrix.inputs]).double()
        if not len(inputs):
            assert not mine
            continue
        counted = inputs * weights[number].reshape(-1, 1) if number in weights else inputs
        assert len(mine) == 1, matrix.tensor
        assert mine[0].tokens == len(inputs), matrix.tensor
        assert relative(mine[0].hessian, counted.T @ inputs) < 1e-4, matrix.tensor
        compared += 1
    assert compared >= len(stages) + 3


@pytest.mark.parametrize("family", STAGES)
def test_stages(family, tmp_path):
    made = small(family, tmp_path) if family in FAMILIES else Small(Engine(*written(family, tmp_path)), tmp_path)
    with closing(made.engine):
        stages, *_ = stages_and_run(made)
    assert [sorted(map(last, stage)) for stage in stages] == [sorted(stage) for stage in STAGES[family]]


def product_of(weight, inputs, place, weights=None, multiply=torch.nn.functional.linear):
    """The Hessians of one parameter that a place tells of."""
    joined = SimpleNamespace(places={("w", 0): place})
    collector = Collector(joined, weights or {}, ["w"], [])
    return collector.of_sequences({"w": weight}, slice(1, 3), lambda: multiply(inputs, weight))


def place_of(tensors, columns, *, transposed=False):
    return Place(transposed, np.array(tensors), np.arange(len(tensors)), np.array(columns))


def test_a_parameter_of_three_tensors_that_is_multiplied_as_it_is():
    inputs, weights = torch.randn(2, 4, 3), torch.rand(5, 4)
    place = place_of([0, 0, 1, 2, -1], [0, 1, 2], transposed=True)
    found = product_of(torch.randn(3, 5), inputs, place, {0: weights}, torch.matmul)
    flat = inputs.reshape(-1, 3).numpy()
    plain, weighted = flat.T @ flat, (flat * weights[1:3].reshape(-1, 1).numpy()).T @ flat
    assert {key.tensor for key in found} == {0, 1, 2}
    for key, summed in found.items():
        assert key == Key("w", 0, key.tensor)
        assert summed.tokens == 8
        assert relative(summed.hessian, weighted if key.tensor == 0 else plain) < 1e-6


def test_columns_in_another_order_in_the_file():
    inputs, columns = torch.randn(2, 4, 3), [2, 0, 1]
    (summed,) = product_of(torch.randn(2, 3), inputs, place_of([0, 0], columns)).values()
    in_file = np.zeros((8, 3), np.float32)
    in_file[:, columns] = inputs.reshape(-1, 3).numpy()
    assert relative(summed.hessian, in_file.T @ in_file) < 1e-6


def test_a_stage_ends_where_the_next_one_begins():
    first, second, done = torch.randn(3, 3), torch.randn(3, 3), []

    def run():
        made = torch.nn.functional.linear(torch.ones(2, 3), first)
        done.append("first")
        torch.nn.functional.linear(made, second)
        done.append("second")

    joined = SimpleNamespace(places={(name, 0): place_of([0, 0, 0], [0, 1, 2]) for name in ("a", "b")})
    parameters = {"a": first, "b": second}
    assert set(Collector(joined, {}, ["a"], ["b"]).of_sequences(parameters, slice(0, 1), run)) == {Key("a", 0, 0)}
    assert done == ["first"]
    assert set(Collector(joined, {}, ["b"], []).of_sequences(parameters, slice(0, 1), run)) == {Key("b", 0, 0)}
    assert done == ["first", "first", "second"]


def test_no_more_than_some_tasks_are_worked_on_at_once():
    begun, most = [], []

    def task(number):
        def work():
            begun.append(number)
            most.append(len(begun))
            return {Key("w", 0, 0): Told(torch.zeros(1, 1), 1)}

        return work

    class Told(Summed):
        def with_(self, other):
            begun.pop()
            return self

    with ThreadPoolExecutor(8) as pool:
        in_order(pool, (task(number) for number in range(12)), 3)
    assert max(most) <= 3 + 1  # the first one is what the others are added to


@pytest.mark.parametrize("at_once", [1, 2, 6])
def test_results_are_added_in_the_order_of_the_tasks(at_once):
    """Whichever is there first; float32 tells orders apart."""
    values = [1e8, 1.0, -1e8, 3.0]
    ready = [Event() for _ in values]

    def task(number):
        def work():
            if at_once > 1 and number % 2 == 0:
                assert ready[number + 1].wait(30)  # so the second of each pair ends first
            ready[number].set()
            return {Key("w", 0, number % 2): Summed(torch.tensor([[values[number]]]), number)} | {
                Key("all", 0, 0): Summed(torch.tensor([[values[number]]]), 1)
            }

        return work

    with ThreadPoolExecutor(2) as pool:
        found = in_order(pool, (task(number) for number in range(4)), at_once)
    total = np.float32(0)
    for value in values:
        total += np.float32(value)
    assert total == 3
    assert float(found[Key("all", 0, 0)].hessian) == total
    assert found[Key("all", 0, 0)].tokens == 4
    assert float(found[Key("w", 0, 1)].hessian) == 4
    assert found[Key("w", 0, 1)].tokens == 4


def test_experts_with_few_tokens_are_drawn_to_their_layer():
    mine, layer = torch.eye(4) * 12, torch.full((4, 4), 100.0)
    assert torch.equal(shrunk(torch.zeros(4, 4), 0, layer, 50), layer / 50)
    assert relative(shrunk(mine, 4, layer, 50), mine / 4 / 2 + layer / 50 / 2) < 1e-6
    assert relative(shrunk(mine * 1e6, 4_000_000, layer, 50), mine / 4) < 1e-5


@pytest.mark.parametrize("rank", [0, 1, 3, 40])
def test_every_hessian_gets_a_factor_of_its_inverse(rank):
    inputs = torch.randn(rank, 16, generator=torch.Generator().manual_seed(rank)) * 1e-3
    found = curvature(inputs.T @ inputs)
    assert np.array_equal(found.lower, np.tril(found.lower))
    assert relative(found.lower @ found.lower.T @ found.hessian, np.eye(16)) < 1e-3
    if rank:
        mean = float((inputs.T @ inputs).diagonal().mean())
        assert relative(found.hessian, (inputs.T @ inputs).numpy() / mean + 0.1 * np.eye(16)) < 1e-5


def test_the_hessian_of_outputs_is_damped_by_its_mean():
    factors = torch.tensor([[1.0, 2.0], [1.0, 1.0], [0.0, 2.0]])
    assert both_sides(factors).tolist() == [[2.0 + 4.5, 1.0], [1.0, 7.0 + 4.5]]
