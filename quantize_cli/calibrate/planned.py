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
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        tensors: Sequence[PlannedTensor],
        importance: ImportanceMatrix | None,
        pool: Executor,
        rounded: Rounded | None = None,
    ) -> None:
        self._checkpoint, self._sources = checkpoint, SourceRows(checkpoint)
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
        return rows if tensor.copied else self.searched(tensor, rows)

    def original(self, tensor: PlannedTensor) -> Rows:
        """Return the weights of a tensor before they are quantized; maps work on one matrix at a time."""
        step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
        return np.concatenate(
            [self._sources.rows(tensor, start, start + step).rows for start in range(0, tensor.rows, step)]
        )

    def searched(self, tensor: PlannedTensor, rows: Rows) -> Rows:
        """Return what the reference's search makes of a tensor's weights."""
        importance = None
        if self._importance is not None and tensor.importance is not None:
            importance = self._importance.for_tensor(tensor.importance, tensor.shape)
        return stored(rows, tensor.type, importance, tensor.rows_of_an_expert, self._pool)
