"""Every family that both the converter and transformers know: the same logits, and weights that come back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from engine import Engine, logits_of, relative
from golden.families.case import Case, build
from golden.families.checkpoints import CASES

from quantize_cli.calibrate.backwards import arrays_of
from quantize_cli.errors import UnsupportedError
from quantize_cli.run.rows import SourceRows

TOKENIZERS = Path(__file__).parents[3] / "shared" / "tokenizers"


def one_of_each_class() -> list[Case]:
    """Return the first case of each class of models."""
    found: dict[str, Case] = {}
    for case in CASES.values():
        if not case.vocabulary.shared and case.refusal is None:
            found.setdefault(case.config.get("architectures", ["?"])[0], case)
    return list(found.values())


def opened(case: Case, parent: Path) -> Engine:
    if case.vocabulary.shared and not TOKENIZERS.is_dir():
        pytest.skip("needs ../shared/tokenizers")
    return Engine(build(case, parent, TOKENIZERS), case.vocabulary.pre_tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("case", one_of_each_class(), ids=lambda case: case.name)
def test_logits(case, tmp_path):
    with closing(opened(case, tmp_path)) as engine:
        engine.skeleton
        tokens = engine.tokens(2, 12)
        assert relative(engine.streamed(tokens), logits_of(engine.whole, tokens)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_weights_come_back(case, tmp_path):
    """Through the recipes and back, all that a file holds is what the checkpoint holds."""
    with closing(opened(case, tmp_path)) as engine:
        rows = SourceRows(engine.checkpoint)

        def read(tensor):
            step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
            return np.concatenate([rows.rows(tensor, at, at + step).rows for at in range(0, tensor.rows, step)])

        tensors = [tensor for tensor in engine.plan.tensors if tensor.sources]
        arrays = arrays_of(tensors, read, engine.checkpoint.infos)
        assert set(arrays) == {name for tensor in tensors for name in tensor.sources}
        for name, found in arrays.items():
            expected = engine.weights.read([name])[name]
            here = ~np.isnan(found)
            assert here.any(), name
            assert relative(found[here], expected[here]) < TOLERANCE, name


#: Maps that compute round: a sum with 1, or an exponential and its logarithm.
TOLERANCE = 1e-6
