"""The weights of a file that is planned, without the file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.calibrate.candidates import stored
from quantize_cli.calibrate.weights import Converted
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.methods.factors import Factors
from quantize_cli.methods.rounded import Rounded
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.run.rows import SourceRows

Rows = NDArray[np.float32]


class Planned(Converted):
    """What a plan's file would hold: blocks that were chosen, and of the other tensors those of the reference's search.

    Args:
        checkpoint: The original.
        tensors: The plan's tensors.
        importance: The matrix that the plan was made with.
        pool: Where kernels run.
        rounded: Blocks that were chosen.
        factors: Foldings, which change the rows before they are quantized.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        tensors: Sequence[PlannedTensor],
        importance: ImportanceMatrix | None,
        pool: Executor,
        rounded: Rounded | None = None,
        factors: Factors | None = None,
    ) -> None:
        self._sources, self._factors = SourceRows(checkpoint, factors), factors
        self._importance, self._pool, self._rounded = importance, pool, rounded
        super().__init__(checkpoint, tensors, self.rows)

    def rows(self, tensor: PlannedTensor) -> Rows:
        """Return what is read of a tensor of the file."""
        if self._rounded is not None and self._rounded.has(tensor.name):
            packed = self._rounded.read(tensor, 0, tensor.rows)
            rows = np.empty((tensor.rows, tensor.columns), np.float32)
            BLOCK_TYPES[tensor.type].dequantize(packed, rows)
            return rows
        rows = self.original(tensor)
        folded = self._factors is not None and tensor.name in self._factors
        return rows if tensor.copied and not folded else self.searched(tensor, rows)

    def original(self, tensor: PlannedTensor, some: slice | None = None) -> Rows:
        """Return weights before they are quantized: all, or some rows of one matrix; maps need whole matrices."""
        if some is not None:
            return self._sources.rows(tensor, some.start, some.stop).rows
        step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
        return np.concatenate(
            [self.original(tensor, slice(start, start + step)) for start in range(0, tensor.rows, step)]
        )

    def searched(self, tensor: PlannedTensor, rows: Rows, start: int = 0) -> Rows:
        """Return what the reference's search makes of rows from number `start` on, all of one matrix or the whole."""
        importance, size = None, tensor.rows_of_an_expert
        if self._importance is not None and tensor.importance is not None:
            importance = self._importance.for_tensor(tensor.importance, tensor.shape)
        if importance is not None and self._factors is not None:
            importance = np.stack(
                [self._factors.importance(tensor, row, expert * size) for expert, row in enumerate(importance)]
            )
        if importance is not None and len(rows) <= size:
            importance = importance[start // size % len(importance)][None]
        return stored(rows, tensor.type, importance, min(size, len(rows)), self._pool)
