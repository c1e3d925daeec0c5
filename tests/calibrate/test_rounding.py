"""Rounding block by block: what is chosen, for which inputs, and that neither threads nor a stop change a byte."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from engine import logits_of, relative
from safetensors.numpy import save_file
from small import CONTEXT, FAMILIES, HELD_OUT, SEQUENCES, small

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.calibrate import rounding as module
from quantize_cli.calibrate.planned import Planned
from quantize_cli.calibrate.rounding import Assignment, Rounding
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.work import Work
from quantize_cli.methods.table import METHODS

MEASURED = SEQUENCES - HELD_OUT


@dataclass
class Run:
    """What a whole rounding has given."""

    blocks: dict[str, bytes]
    errors: dict[str, Any]
    chosen: tuple[str, ...]
    searched: tuple[str, ...]
    without: tuple[str, ...]
    values: dict[str, np.ndarray] = field(default_factory=dict)  #: of the file, by GGUF name
    handed: dict[int, torch.Tensor] = field(default_factory=dict)  #: what each block gets, as it was worked on


def rounded(model, work, threads=1, tell=None):
    """Round a model; the folder of a run that is stopped stays."""
    checkpoint, found = model.engine.checkpoint, Run({}, {}, (), (), ())
    skeleton = Skeleton(checkpoint, settings_of("cpu", "f32"))
    shape = (SEQUENCES, CONTEXT, 64)
    with Work(work, {}) as held, ThreadPoolExecutor(threads) as pool:

        def told(name, done, total):
            if tell is not None:
                tell(name, done, total)
            if done:
                found.handed[done] = held.states(f"rounded-{done}", shape, torch.float32).read(
                    0, SEQUENCES, torch.device("cpu")
                )

        assignment = Assignment(
            checkpoint, skeleton, model.plan.tensors, model.calibration, None, METHODS["gptq"], (), threads
        )
        made = Rounding(assignment, held, pool, told)
        made.run()
        found.errors, found.chosen = made.errors, made.chosen
        found.searched, found.without = made.searched, made.without
        planned = Planned(checkpoint, model.plan.tensors, None, pool, made.result.rounded)
        for tensor in model.plan.tensors:
            if made.result.rounded.has(tensor.name):
                found.blocks[tensor.name] = made.result.rounded.read(tensor, 0, tensor.rows).tobytes()
            if len(tensor.shape) > 1:
                found.values[tensor.name] = planned.rows(tensor)
        arrays = planned.read(list(checkpoint.infos))
    return found, arrays


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    made = small(request.param, tmp_path_factory.mktemp("model"))
    with closing(made.engine):
        yield made


@pytest.fixture(scope="module")
def whole(model):
    """A run that is not stopped, and the weights of its file as the checkpoint has them."""
    return rounded(model, model.folder / "whole")


def test_every_tensor_with_a_grid_is_rounded(model, whole):
    run, _ = whole
    wanted = {held.name for held in model.plan.tensors if held.type in BLOCK_TYPES and BLOCK_TYPES[held.type].grid}
    assert set(run.errors) == wanted
    assert len(wanted) == 2 * 7 + 2
    assert run.without == ()
    assert {*run.chosen, *run.searched} == wanted
    assert not {*run.chosen} & {*run.searched}


def test_the_blocks_that_are_kept_have_the_smaller_error(whole):
    run, _ = whole
    assert set(run.blocks) == set(run.chosen)
    for name, errors in run.errors.items():
        assert (errors.ours < errors.searched) == (name in run.blocks), name
        assert min(errors) > 0
    assert run.blocks


def reloaded(model, arrays, folder):
    """transformers' own model with the weights of the file."""
    shutil.copytree(model.engine.folder, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    save_file(
        {name: np.ascontiguousarray(held, np.float32) for name, held in arrays.items()}, folder / "model.safetensors"
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float32"}))
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", experts_implementation="eager"
    ).eval()


def test_each_block_gets_what_the_rounded_blocks_before_it_make(model, whole, tmp_path):
    """And errors are told by the inputs that a matrix has where all before it, in its block too, is rounded."""
    run, arrays = whole
    rebuilt, behind, inputs = reloaded(model, arrays, tmp_path / "file"), [], {}
    with ExitStack() as hooks:
        for layer in rebuilt.get_decoder().layers:
            hooks.callback(layer.register_forward_hook(lambda _module, _given, made: behind.append(made)).remove)
        for name, matrix in rebuilt.get_decoder().layers[1].named_modules():
            if name.endswith(("v_proj", "down_proj")) and isinstance(matrix, torch.nn.Linear):

                def note(_module, given, name=name):
                    inputs[name.rpartition(".")[2]] = given[0].detach()

                hooks.callback(matrix.register_forward_pre_hook(note).remove)
        logits_of(rebuilt, model.tokens)
    for number, made in enumerate(behind):
        assert relative(run.handed[number + 1], made[0] if isinstance(made, tuple) else made) < 1e-4
    known = {tensor.name: tensor for tensor in model.calibration.tensors}
    planned = {tensor.name: tensor for tensor in model.plan.tensors}
    with ThreadPoolExecutor(1) as pool:
        original = Planned(model.engine.checkpoint, model.plan.tensors, None, pool).original
        for module_name, name in (("v_proj", "blk.1.attn_v.weight"), ("down_proj", "blk.1.ffn_down.weight")):
            if module_name not in inputs:
                assert name not in planned
                continue
            change = torch.from_numpy(run.values[name] - original(planned[name])).double()
            along = (inputs[module_name][MEASURED:].double() @ change.T).square().sum(2)
            counted = torch.from_numpy(known[name].token_weights[MEASURED:]).clamp_max(50).double()
            expected = float((counted * along).sum())
            found = run.errors[name]
            assert (found.ours if name in run.blocks else found.searched) == pytest.approx(expected, rel=1e-3)


def test_threads_do_not_change_a_byte(model, tmp_path, monkeypatch):
    monkeypatch.setattr("quantize_cli.calibrate.forward.BATCH_TOKENS", CONTEXT)  # so that there are several batches
    (one, _), (two, _) = (rounded(model, tmp_path / str(threads), threads) for threads in (1, 2))
    assert one.blocks == two.blocks
    assert one.errors == two.errors
    assert one.blocks


class _Stopped(Exception):  # noqa: N818
    pass


def stop_at(step):
    def tell(_name, done, _total):
        if done == step:
            raise _Stopped

    return tell


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_stopped_run_goes_on(step, model, whole, tmp_path, monkeypatch):
    run, _ = whole
    with pytest.raises(_Stopped):
        rounded(model, tmp_path / "work", tell=stop_at(step))
    steps, own = [], Rounding._block

    def block(self, passage, number):
        steps.append(number)
        return own(self, passage, number)

    monkeypatch.setattr(Rounding, "_block", block)
    again, _ = rounded(model, tmp_path / "work")
    assert again.blocks == run.blocks
    assert again.errors == run.errors
    assert steps == list(range(step, 2))


@pytest.mark.parametrize("step", ["vocabulary", "inputs", "rounded-0", "rounded-1"])
def test_a_run_that_is_stopped_before_a_step_is_kept_does_it_again(step, model, whole, tmp_path, monkeypatch):
    run, _ = whole
    keep = Work.keep

    def stopped(self, name, values):
        if name == step:
            raise _Stopped
        keep(self, name, values)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "keep", stopped)
        with pytest.raises(_Stopped):
            rounded(model, tmp_path / "work")
    again, _ = rounded(model, tmp_path / "work")
    assert again.blocks == run.blocks
    assert again.errors == run.errors


def test_an_expert_that_no_token_hits_is_rounded_by_its_layer(model, tmp_path, monkeypatch):
    if not any("_exps" in tensor.name for tensor in model.plan.tensors):
        pytest.skip("a model without experts")
    seen, own = [], module._of_experts

    def noted(joined, number, found):
        made = own(joined, number, found)
        mine = {key: held for key, held in found.items() if key.tensor == number}
        if mine and "_exps" in joined.tensors[number].name:
            seen.append((mine, made))
        return made

    monkeypatch.setattr(module, "_of_experts", noted)
    calibration = _with_tokens(model, model.tokens[:2] * 0 + model.tokens[:2, :1])  # few experts see the same token
    checkpoint = model.engine.checkpoint
    with Work(tmp_path / "few", {}) as held, ThreadPoolExecutor(1) as pool:
        assignment = Assignment(
            checkpoint,
            Skeleton(checkpoint, settings_of("cpu", "f32")),
            model.plan.tensors,
            calibration,
            None,
            METHODS["gptq"],
            (),
            1,
        )
        made = Rounding(assignment, held, pool, lambda *_: None)
        made.run()
    assert made.without == ()
    without = 0
    for mine, hessians in seen:
        assert len(hessians) == 4
        layer = sum(held.hessian.double() for held in mine.values()) / sum(held.tokens for held in mine.values())
        for expert, hessian in enumerate(hessians):
            of_expert = [held for key, held in mine.items() if key.matrix == expert]
            if of_expert:
                (held,) = of_expert
                share = held.tokens / (held.tokens + len(hessian))
                expected = share * held.hessian.double() / held.tokens + (1 - share) * layer
            else:
                expected, without = layer, without + 1
            assert relative(hessian, expected) < 1e-5
    assert without


def _with_tokens(model, tokens):
    """A calibration on other tokens, of which the last sequence is held out."""
    tensors = tuple(
        replace(tensor, token_weights=np.ones(tuple(tokens.shape), np.float32)) if tensor.token_weights.size else tensor
        for tensor in model.calibration.tensors
    )
    return replace(model.calibration, tensors=tensors, tokens=tokens.numpy().astype(np.int32), held_out=1)
