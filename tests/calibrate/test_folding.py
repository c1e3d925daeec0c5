"""Foldings: with random factors a model computes what it did, and if one companion is left out it does not."""

from __future__ import annotations

import re
from contextlib import closing

import numpy as np
import pytest
from engine import Engine, relative, written
from golden.families.checkpoints import CASES
from test_all_families_run import REFUSED, ROUNDED, opened

from quantize_cli.architectures.families.table import BASE_CLASSES, FAMILIES
from quantize_cli.architectures.folds import FOLDINGS, folds_of
from quantize_cli.calibrate.backwards import arrays_of
from quantize_cli.calibrate.folding import TOLERANCE, Folded, difference
from quantize_cli.methods.factors import Factors
from quantize_cli.run.rows import SourceRows

#: Cases whose blocks return what their model does not take from a stub, whose tensors the engine does not know by name,
#: or whose own logits are not finite when their matrices are made larger.
NOT_CHECKED = {"Bamba-small", "GLM-5-small", "Mamba2-groups", "Llama-as-text-model", "Granite-odd-rows"}
CHECKED = [
    case
    for case in CASES.values()
    if case.refusal is None and not case.requantize and case.name not in REFUSED | NOT_CHECKED
]
#: What a small model's logits may change by; a folding that is wrong changes them by more than is allowed to any model.
SMALL = TOLERANCE / 4


@pytest.fixture(params=["llama", "gemma3", "mixtral"])
def engine(request, tmp_path):
    with closing(Engine(*written(request.param, tmp_path))) as opened:
        yield opened


def found(engine):
    """Return the foldings of a model."""
    shapes = {tensor.name: tensor.shape for tensor in engine.plan.tensors}
    return folds_of(engine.plan.files[0].metadata, shapes)


def drawn(folds):
    """Draw factors for foldings."""
    random = np.random.default_rng(0)
    return Factors.of([(fold, np.exp(random.normal(0, 0.5, fold.size)).astype(np.float32)) for fold in folds])


class Sharp:
    """The weights of a checkpoint, with matrices so large that attention looks at few tokens and gates are not linear.

    Those of small models are near 0: what is wrong about queries and keys would hardly change the logits.
    """

    def __init__(self, weights):
        self._weights = weights

    def read(self, names):
        arrays = self._weights.read(names)
        for name in names:
            if arrays[name].ndim > 1 and re.search(r"\.\d+\.", name):
                arrays[name] *= 2 / np.sqrt(np.square(arrays[name]).mean() * arrays[name].shape[-1])
        return arrays


def changed_by(engine, factors):
    """Compute how much factors change the logits."""
    sharp = Sharp(engine.weights)
    changed = Folded(sharp, factors, engine.plan.tensors, engine.checkpoint.infos)
    return difference(engine.skeleton, sharp, changed, engine.tokens(2, 12))


def incomplete(factors, name, side):
    """Leave what factors do to the rows or to the columns of one tensor out."""
    sides = {held: dict(getattr(factors, held)) for held in ("rows", "columns")}
    del sides[side][name]
    return Factors(**sides)


def test_the_folded_models_rows_are_those_of_its_file(engine):
    """What the engine computes with is what a file of folded rows holds, less roundings to the checkpoint's dtype."""
    factors = drawn(found(engine))
    rows = SourceRows(engine.checkpoint, factors)
    tensors = [tensor for tensor in engine.plan.tensors if tensor.sources]
    expected = arrays_of(tensors, lambda tensor: rows.rows(tensor, 0, tensor.rows).rows, engine.checkpoint.infos)
    made = Folded(engine.weights, factors, engine.plan.tensors, engine.checkpoint.infos).read(list(expected))
    original = engine.weights.read(list(expected))
    assert sum(not np.array_equal(made[name], original[name]) for name in made) >= 2 * len(found(engine))
    for name in expected:
        assert relative(made[name], expected[name]) < ROUNDED, name


def test_one_companion_left_out_is_seen(engine):
    folds = [fold for fold in found(engine) if fold.block == 0]
    assert changed_by(engine, drawn(found(engine))) < SMALL
    for fold in folds:
        factors = drawn([fold])
        for side, names in (("rows", fold.divided), ("columns", fold.multiplied)):
            for name in names:
                assert changed_by(engine, incomplete(factors, name, side)) > TOLERANCE, name


@pytest.mark.slow
@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case.name)
def test_foldings_hold(case, tmp_path):
    with closing(opened(case, tmp_path)) as engine:
        allowed = {folding.maker for folding in FOLDINGS.get(engine.plan.architecture, ())}
        folds = found(engine)
        if not folds:
            pytest.skip("its family, or its kind of block, does not allow foldings")
        assert {fold.maker for fold in folds} <= allowed
        assert changed_by(engine, drawn(folds)) < SMALL


def test_every_family_with_foldings_is_checked():
    classes = {case.config.get("architectures", [None])[0] for case in CHECKED}
    families = [FAMILIES.get(BASE_CLASSES.get(name, name)) for name in classes]
    assert set(FOLDINGS) <= {family.architecture for family in families if family is not None}
