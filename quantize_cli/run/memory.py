"""The memory that a run takes: an estimate from its bounds."""

from __future__ import annotations

from collections.abc import Sequence

from quantize_cli.architectures.maps import Transpose
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.run.bounds import BAND_BYTES, BANDS_KEPT, WEIGHTS_IN_FLIGHT
from quantize_cli.run.slabs import SLAB_WEIGHTS

#: Bytes of the process before its first slab: Python, libraries, compiled kernels.
_BASE = 160 << 20
#: Bytes for each weight of a slab while a thread makes it, with what the allocator keeps for that thread.
_WORKING = 20
#: Bytes of Python objects for each byte of a header, nearly all of them tokens.
_OF_HEADER = 12


def memory_of_run(plans: Sequence[Plan], threads: int, importance: ImportanceMatrix | None = None) -> int:
    """Estimate the peak resident memory of the run of these plans, in bytes.

    Counted are what every run takes, the vocabulary, the importance matrix, a slab that each thread works on, the
    results of at most two slabs a thread that wait to be written, and the columns that transposed tensors keep. A
    download is not counted.
    """
    tensors = plans[0].tensors
    slab = max((tensor.columns for tensor in tensors), default=0)
    slab = max(slab, SLAB_WEIGHTS)
    waiting = min(2 * threads * slab, WEIGHTS_IN_FLIGHT + slab)
    written = sum(max(map(_bytes_of_weight, plan.tensors), default=0.0) for plan in plans)
    matrix = 0 if importance is None else sum(values.nbytes for values in importance.entries.values())
    headers = sum(len(file.header) for file in plans[0].files)
    working = min(threads * slab, waiting) * _WORKING
    return round(_BASE + headers * _OF_HEADER + matrix + working + waiting * written + _bands(tensors))


def _bytes_of_weight(tensor: PlannedTensor) -> float:
    """Return what a weight of a matrix takes in the file; vectors are too small to count."""
    held = GGML_TYPES[tensor.type]
    return held.block_bytes / held.block_size if tensor.rows > 1 else 0.0


def _bands(tensors: Sequence[PlannedTensor]) -> int:
    """Return the bytes of columns that are kept: all of one matrix, or a part of it."""
    transposed = [tensor for tensor in tensors if any(isinstance(change, Transpose) for change in tensor.maps)]
    of_matrix = (tensor.source_bytes * tensor.rows_of_an_expert // tensor.rows for tensor in transposed)
    return BANDS_KEPT * min(max(of_matrix, default=0), BAND_BYTES)
