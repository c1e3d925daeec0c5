"""Foldings: with random factors a model computes what it did, and if one companion is left out it does not."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from test_all_families_run import REFUSED, one_of_each_class, opened

from quantize_cli.architectures.folds import FOLDINGS, folds_of
from quantize_cli.calibrate.folding import TOLERANCE, Folded, difference
from quantize_cli.methods.factors import Factors

#: Cases of families with foldings that run by blocks, although the whole model is not compared with transformers'.
CHECKED = [case for case in one_of_each_class() if case.name not in REFUSED]
#: How many channels must be folded wrong for the test: a difference this many times what is allowed.
CLEARLY = 30


def with_factors(engine, folds, seed=0):
    """Draw factors for foldings."""
    random = np.random.default_rng(seed)
    return Factors.of([(fold, np.exp(random.normal(0, 0.5, fold.size)).astype(np.float32)) for fold in folds])


def changed_by(engine, factors):
    """Compute how much factors change the logits."""
    folded = Folded(engine.weights, factors, engine.plan.tensors, engine.checkpoint.infos)
    return difference(engine.skeleton, engine.weights, folded, engine.tokens(2, 12))


def found(engine):
    """Return the foldings of a model."""
    shapes = {tensor.name: tensor.shape for tensor in engine.plan.tensors}
    return folds_of(engine.plan.files[0].metadata, shapes)


@pytest.mark.slow
@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case.name)
def test_foldings_hold(case, tmp_path):
    with closing(opened(case, tmp_path)) as engine:
        if engine.plan.architecture not in FOLDINGS:
            pytest.skip("its family does not allow foldings")
        folds = found(engine)
        assert (
            {folding.maker for folding in FOLDINGS[engine.plan.architecture]} >= {fold.maker for fold in folds} > set()
        )
        assert changed_by(engine, with_factors(engine, folds)) < TOLERANCE
