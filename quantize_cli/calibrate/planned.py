"""The weights of a file that is planned, without the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial

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

#: Weights of a tensor that are worked on at once, unless its rows belong together.
_WEIGHTS_AT_ONCE = 1 << 23


def pieces(tensor: PlannedTensor, expert: int, *, whole: bool = False) -> Iterator[slice]:
    """Yield the rows of an expert in pieces, or `whole`, as maps want them."""
    size = tensor.rows_of_an_expert
    step = size if whole or tensor.maps else max(1, _WEIGHTS_AT_ONCE // tensor.columns)
    for start in range(expert * size, (expert + 1) * size, step):
        yield slice(start, min(start + step, (expert + 1) * size))


def _in_pieces(tensor: PlannedTensor, read: Callable[[slice], Rows]) -> Rows:
    """Make a tensor piece by piece, so that no second array of its size is needed."""
    made = np.empty((tensor.rows, tensor.columns), np.float32)
    for expert in range(tensor.rows // tensor.rows_of_an_expert):
        for some in pieces(tensor, expert):
            made[some] = read(some)
    return made


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
        folded = self._factors is not None and tensor.name in self._factors
        if tensor.copied and not folded:
            return self.original(tensor)
        return _in_pieces(tensor, lambda some: self.searched(tensor, self.original(tensor, some), some.start))

    def original(self, tensor: PlannedTensor, some: slice | None = None) -> Rows:
        """Return weights before they are quantized: all, or some rows of one matrix; maps need whole matrices."""
        if some is None:
            return _in_pieces(tensor, partial(self.original, tensor))
        return self._sources.rows(tensor, some.start, some.stop).rows

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
