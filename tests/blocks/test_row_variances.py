"""The variance of a row, which types of 32 weights need with importance, whatever rows lie beside it."""

from __future__ import annotations

import numpy as np
import pytest

from blocks.checks import assert_same_blocks, quantized
from blocks.importances import importance
from quantize_cli.blocks.table import BLOCK_TYPES


@pytest.mark.parametrize("count", [7, 8, 9, 33])
def test_rows_do_not_change_one_another(count: int) -> None:
    scales = np.float32(10) ** np.arange(-3, count - 3, dtype=np.float32)[:, None] / np.float32(7)
    rows = np.random.default_rng(count).standard_normal((count, 96), dtype=np.float32) * scales
    weights = importance("squares", rows.shape[1])
    alone = np.concatenate([quantized(BLOCK_TYPES["Q5_0"], row[None], weights) for row in rows])
    assert_same_blocks(BLOCK_TYPES["Q5_0"], rows, quantized(BLOCK_TYPES["Q5_0"], rows, weights), alone)
