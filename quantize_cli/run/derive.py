"""One slab of one or more plans -> bytes and error sums: read, rearrange, decode, compute, quantize, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import CheckpointError
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.measure.accumulate import accumulate
from quantize_cli.measure.decoded import measure
from quantize_cli.measure.sums import SUM_D2, SUMS
from quantize_cli.methods.chosen import Chosen
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.run.rows import Rows, SourceRows, Weights, checked
from quantize_cli.run.slabs import Slab
from quantize_cli.run.stored import Packed

Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a slab in one type: packed rows, uint8[n, row bytes], and their sums, float64[n, SUMS]."""

    packed: Packed
    sums: Sums


class Derive:
    """Makes slabs; safe to call from several threads.

    Args:
        checkpoint: where rows come from.
        importance: the matrix that the plans were made with.
        chosen: for each plan what a method has chosen, or None; the search makes all other blocks.
    """

    def __init__(
        self, checkpoint: Checkpoint, importance: ImportanceMatrix | None, chosen: Sequence[Chosen | None] = ()
    ) -> None:
        self._checkpoint = checkpoint
        self._importance = importance
        self._chosen = chosen
        self._sources = SourceRows(checkpoint)

    def __call__(self, slab: Slab) -> list[Result]:
        """Return what each plan makes of the slab; what plans make alike is made once.

        Raises:
            CheckpointError: the files have changed, hold NaN or infinite weights, or weights that a type cannot hold.
        """
        made: dict[tuple[str, str | None, bool, Chosen | None], Result] = {}
        chosen = [self._of_method(number, tensor) for number, tensor in enumerate(slab.tensors)]
        keys = [
            (tensor.type, tensor.importance, tensor.copied, held)
            for tensor, held in zip(slab.tensors, chosen, strict=True)
        ]
        rows: Rows | None = None
        for tensor, key, held in zip(slab.tensors, keys, chosen, strict=True):
            if key in made:
                continue
            if tensor.copied and held is None:
                made[key] = self._copied(slab, tensor)
                continue
            rows = self._source_rows(slab) if rows is None else rows
            importance = self._importance_of(slab, tensor)
            if held is None:
                made[key] = _within_range(tensor, rows, importance)
            else:
                folded, importance = held.folded(tensor, rows, importance, slab.start)
                made[key] = _within_range(tensor, folded, importance, held.blocks(tensor, slab.start, slab.stop))
        return [made[key] for key in keys]

    def _of_method(self, plan: int, tensor: PlannedTensor) -> Chosen | None:
        """Return what a method has chosen for a plan, if that changes a tensor."""
        chosen = self._chosen[plan] if self._chosen else None
        return chosen if chosen is not None and chosen.changes(tensor) else None

    def _importance_of(self, slab: Slab, tensor: PlannedTensor) -> Rows | None:
        if self._importance is None or tensor.importance is None:
            return None
        experts = self._importance.for_tensor(tensor.importance, tensor.shape)
        assert experts is not None, "the plan has looked"
        # With four dimensions the experts come again and again.
        row: Rows = experts[slab.start // tensor.rows_of_an_expert % len(experts)]
        return row

    def _copied(self, slab: Slab, tensor: PlannedTensor) -> Result:
        if len(tensor.shape) > 1:
            packed = self._sources.stored.read(tensor, slab.start, slab.stop)
        else:  # to moves, a vector has many rows
            packed = self._checkpoint.read_bytes(tensor.sources[0], slab.start, slab.stop)
        sums = np.zeros((len(packed), SUMS))
        if tensor.type in BLOCK_TYPES:
            weights = checked(packed, tensor.type)
            self._check_finite(weights, tensor, slab.start)
            accumulate(weights.rows, weights.rows, None, sums)
        return Result(packed, sums)

    def _source_rows(self, slab: Slab) -> Rows:
        """Return the slab's weights in the output's order, float32[n, columns]."""
        tensor = slab.tensor
        if tensor.values is not None:
            return np.array(tensor.values, np.float32).reshape(-1, tensor.columns)[slab.start : slab.stop]
        weights = self._sources.rows(tensor, slab.start, slab.stop)
        self._check_finite(weights, tensor, slab.start)
        return weights.rows

    def _check_finite(self, weights: Weights, tensor: PlannedTensor, first_row: int) -> None:
        """Refuse NaN and infinity; `first_row` is the number of the first row in the output."""
        if weights.finite:
            return
        rows = weights.rows
        flat = int(np.argmin(np.isfinite(rows)))
        place = first_row * tensor.columns + flat
        if tensor.maps:  # what was computed, or lies elsewhere in its source
            files = ", ".join(sorted({self._checkpoint.infos[source].file for source in tensor.sources}))
            name, shape = f"{tensor.name}, made of {files},", tensor.shape
        else:
            info, place = self._sources.stored.locate(tensor, place)
            name, shape = f"{info.name} in {info.file}", info.shape
        index = [int(i) for i in np.unravel_index(place, shape)]
        raise CheckpointError(
            f"Tensor {name} holds {rows.reshape(-1)[flat]} at index {index}; "
            "a model with NaN or infinite weights cannot be quantized, so repair or download it again."
        )


def _within_range(tensor: PlannedTensor, rows: Rows, importance: Rows | None, packed: Packed | None = None) -> Result:
    """Quantize rows unless they are `packed`, and measure them.

    What llama.cpp refuses to write and to load is refused (ggml-quants.c, `ggml_validate_row_data`).
    """
    held = BLOCK_TYPES[tensor.type]
    try:
        result = _measured(rows, held, importance, packed)
    except OverflowError:
        result = None
    if result is None or not np.isfinite(result.sums[:, SUM_D2]).all() or held.has_invalid_byte(result.packed):
        raise CheckpointError(
            f"Tensor {tensor.name} has weights too large or too small for the scales of {tensor.type}; give it another "
            "type with --tensor-type, or take another format: bf16 holds every weight."
        )
    return result


def _measured(rows: Rows, block_type: BlockType, importance: Rows | None, packed: Packed | None) -> Result:
    if packed is None:
        packed = np.empty((rows.shape[0], block_type.row_bytes(rows.shape[1])), np.uint8)
        block_type.quantize(rows, packed, importance)
    sums = np.empty((rows.shape[0], SUMS))
    measure(block_type.unpack, packed.reshape(-1, block_type.block_bytes), rows, importance, sums)
    return Result(packed, sums)
