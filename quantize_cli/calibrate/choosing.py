"""The choice of a tensor's blocks: those that know what it is multiplied by, or those of the reference's search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.calibrate.curving import curvature
from quantize_cli.calibrate.planned import Planned, pieces
from quantize_cli.methods.curvature import Curvature
from quantize_cli.methods.gptq import ROWS_AT_ONCE, round_rows
from quantize_cli.methods.rounded import Rounded
from quantize_cli.methods.two_sides import descend_rows
from quantize_cli.planning.model import PlannedTensor

Rows = NDArray[np.float32]
Packed = NDArray[np.uint8]


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What is known of a tensor, or of each expert of one."""

    inputs: Sequence[Tensor]  #: Hessians of the inputs, float32[columns, columns]
    judges: Sequence[Tensor]  #: the same of texts that are held out, or, without any, of the same texts
    outputs: Tensor | None  #: damped Hessian of the outputs, float32[rows, rows], where rows' errors add


class Errors(NamedTuple):
    """The errors that blocks have by the Hessians of what is held out."""

    ours: float
    searched: float  #: those of the reference's search


class Chooser:
    """Chooses blocks, and keeps them.

    Args:
        planned: The file that is planned.
        rounded: Receives blocks that are better than those of the reference's search.
        pool: Where rows are worked on.
    """

    def __init__(self, planned: Planned, rounded: Rounded, pool: Executor) -> None:
        self._planned, self._rounded, self._pool = planned, rounded, pool

    def __call__(self, tensor: PlannedTensor, evidence: Evidence) -> Errors:
        """Choose the blocks of a tensor; return the errors of both kinds."""
        total = Errors(0, 0)
        with self._rounded.writing(tensor.name) as write:
            for expert, (inputs, judge) in enumerate(zip(evidence.inputs, evidence.judges, strict=True)):
                curved = curvature(inputs)
                for some in pieces(tensor, expert, whole=evidence.outputs is not None):
                    packed, errors = self._piece(tensor, some, curved, judge, evidence.outputs)
                    total = Errors(total.ours + errors.ours, total.searched + errors.searched)
                    write(packed)
        if not total.ours < total.searched:  # nor where either is NaN
            self._rounded.remove(tensor.name)
        return total

    def _piece(
        self, tensor: PlannedTensor, some: slice, curved: Curvature, judge: Tensor, outputs: Tensor | None
    ) -> tuple[Packed, Errors]:
        """Round some rows of one expert."""
        held, rows = BLOCK_TYPES[tensor.type], self._planned.original(tensor, some)
        packed = self._round(rows, held, curved)
        if outputs is not None:
            self._round_sides(rows, packed, held, curved, outputs)
        values = _values(packed, held, rows.shape)
        searched = self._planned.searched(tensor, rows, some.start)
        errors = self._pool.map(lambda made: _error(made - rows, judge, outputs), (values, searched))
        return packed, Errors(*errors)

    def _round(self, rows: Rows, held: BlockType, curved: Curvature) -> Packed:
        chunks = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate(list(self._pool.map(lambda chunk: round_rows(chunk, held, curved), chunks)))

    @staticmethod
    def _round_sides(rows: Rows, packed: Packed, held: BlockType, curved: Curvature, outputs: Tensor) -> None:
        error = torch.from_numpy(rows - _values(packed, held, rows.shape)).to(outputs.device)
        slope = outputs @ error @ torch.from_numpy(curved.hessian).to(outputs.device)
        descend_rows(packed, held, error.cpu().numpy(), slope.cpu().numpy(), curved.hessian, outputs.cpu().numpy())


def _values(packed: Packed, held: BlockType, shape: tuple[int, ...]) -> Rows:
    values = np.empty(shape, np.float32)
    held.dequantize(packed, values)
    return values


def _error(change: Rows, judge: Tensor, outputs: Tensor | None) -> float:
    """Return tr(H_out D H_in D^T) of a change of rows."""
    held = torch.from_numpy(change).to(judge.device)
    other = held if outputs is None else outputs @ held
    return float(((held @ judge) * other).sum(dtype=torch.float64))
