"""The writer of calibrations; keys.py has the layout, read.py is the reverse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import TensorEntry, encode_header, padded
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.gguf_file.values import as_text
from quantize_cli.importance.read_gguf import CHUNK_COUNT, CHUNK_SIZE, DATASETS
from quantize_cli.outputs.checks import check_output
from quantize_cli.outputs.sinks import replacing
from quantize_cli.sensitivity import keys
from quantize_cli.sensitivity.model import Calibration

#: Bytes of a value -> GGML's number of the type.
_NUMBERS = {4: GGML_TYPES["F32"].number, 2: GGML_TYPES["F16"].number}
_LARGEST_HALF = float(np.finfo(np.float16).max)

#: float32 or float16, little-endian.
Values: TypeAlias = NDArray[np.float32] | NDArray[np.float16]


def write_calibration(calibration: Calibration, path: Path, *, force: bool = False) -> None:
    """Write a calibration, which llama-quantize and `read_importance` read as an importance matrix.

    The same calibration gives the same bytes. Costs are rounded to float32.

    Args:
        calibration: What to write.
        path: The file, which is complete when it gets its name.
        force: Whether to replace an existing file.

    Raises:
        OutputError: The file exists and `force` is not set, or it cannot be written.
    """
    types = _types(calibration)
    tensors = [*_tensors(calibration, types), *_of_methods(calibration)]
    entries = [TensorEntry(name, values.shape, _NUMBERS[values.itemsize], values.nbytes) for name, values in tensors]
    check_output(path, force=force)
    with replacing([path], force=force) as (sink,):
        sink.write(encode_header(list(_fields(calibration, types)), entries))
        for _, values in tensors:
            sink.write(values.tobytes() + bytes(padded(values.nbytes) - values.nbytes))


def _types(calibration: Calibration) -> list[str]:
    """List the types that any tensor has a cost for, in the order of the table of types."""
    measured = {name for tensor in calibration.tensors for name in tensor.costs}
    return sorted(measured, key=list(GGML_TYPES).index)


def _tensors(calibration: Calibration, types: Sequence[str]) -> Iterator[tuple[str, Values]]:
    for name, values in _figures(calibration, types):
        yield name, np.ascontiguousarray(values, "<f4")


def _of_methods(calibration: Calibration) -> Iterator[tuple[str, Values]]:
    """Yield what methods round by; what is in 16 bits is a weight."""
    for tensor in calibration.tensors:
        if tensor.token_weights.size:
            yield f"{tensor.name}{keys.TOKEN_WEIGHTS}", _halves(tensor.token_weights)
        if tensor.hessian.size:
            yield f"{tensor.name}{keys.HESSIAN}", np.ascontiguousarray(tensor.hessian, "<f4")
        if tensor.output_factors.size:
            yield f"{tensor.name}{keys.OUTPUT_FACTORS}", _halves(tensor.output_factors)


def _halves(values: NDArray[np.float32]) -> Values:
    return np.ascontiguousarray(values.clip(-_LARGEST_HALF, _LARGEST_HALF), "<f2")


def _figures(calibration: Calibration, types: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for tensor in sorted(calibration.tensors, key=lambda tensor: tensor.name.encode()):
        if tensor.counts.size:
            yield f"{tensor.name}{keys.SUMS}", tensor.squares
            yield f"{tensor.name}{keys.COUNTS}", tensor.counts[:, np.newaxis]
    for tensor in calibration.tensors:
        if tensor.costs:
            costs = [tensor.costs.get(name, keys.NOT_MEASURED) for name in types]
            yield f"{tensor.name}{keys.COSTS}", np.array(costs, np.float32)
    for number, block in enumerate(calibration.blocks):
        yield keys.LARGEST.format(number), block.largest
        yield keys.MEAN_SQUARE.format(number), block.mean_square


def _fields(calibration: Calibration, types: Sequence[str]) -> Iterator[Field]:
    texts = calibration.texts
    yield _text(keys.GENERAL_TYPE, keys.IMATRIX)
    yield _texts(DATASETS, (text.kind for text in texts))
    yield Field(CHUNK_COUNT, ValueType.UINT32, calibration.sequences)
    yield Field(CHUNK_SIZE, ValueType.UINT32, calibration.context)
    yield Field(keys.VERSION_KEY, ValueType.UINT32, keys.VERSION)
    yield _text(keys.ARCHITECTURE, calibration.architecture)
    yield _text(keys.CONFIG, calibration.model.config)
    yield _text(keys.SHAPES, calibration.model.shapes)
    yield _texts(keys.TYPES, types)
    yield _texts(keys.TENSORS, (tensor.name for tensor in calibration.tensors))
    yield _texts(keys.KINDS, (text.kind for text in texts))
    yield _numbers(keys.TOKENS, ValueType.UINT64, (text.tokens for text in texts))
    yield _texts(keys.HASHES, (text.sha256 for text in texts))
    yield _numbers(keys.DOCUMENT_COUNTS, ValueType.UINT32, (len(text.documents) for text in texts))
    yield _texts(keys.DOCUMENTS, (name for text in texts for name in text.documents))
    if calibration.tokens.size:
        yield _numbers(keys.TOKEN_IDS, ValueType.INT32, calibration.tokens.ravel().tolist())
        yield Field(keys.HELD_OUT, ValueType.UINT32, calibration.held_out)


def _text(key: str, value: str) -> Field:
    return Field(key, ValueType.STRING, value)


def _texts(key: str, values: Iterable[str]) -> Field:
    """Make a field of texts; names of files may hold bytes that are not UTF-8."""
    spelled = tuple(as_text(value.encode("utf-8", "surrogateescape")) for value in values)
    return Field(key, ValueType.ARRAY, spelled, ValueType.STRING)


def _numbers(key: str, item_type: ValueType, values: Iterable[int]) -> Field:
    return Field(key, ValueType.ARRAY, tuple(values), item_type)
