"""The reader of calibrations, which are untrusted files; keys.py has the layout, write.py is the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.reading import OpenFile, opened, reading
from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.reader import GgufTensor, parse_header
from quantize_cli.gguf_file.types import WRITABLE_TYPES
from quantize_cli.importance.read_gguf import CHUNK_SIZE
from quantize_cli.sensitivity import keys
from quantize_cli.sensitivity.model import BlockActivations, Calibration, ModelIdentity, TensorCalibration
from quantize_cli.texts.model import TextRecord


def read_calibration(path: Path) -> Calibration:
    """Read a calibration as `write_calibration` writes it.

    Raises:
        CheckpointError: The file does not exist, is damaged, or is not a calibration.
        UnsupportedError: A newer version has written it.
    """
    with reading(path):
        if not path.exists() or path.is_dir():
            raise CheckpointError(f"The calibration {path} does not exist; check the path.")
    with opened(path) as file:
        header = parse_header(file.stream(), file.size, path)
        held = _Held(path, {field.key: field for field in header.fields}, {t.name: t for t in header.tensors}, file)
        held.check_version()
        try:
            return _calibration(held)
        except ValueError as error:
            raise CheckpointError(
                f"{path} is damaged: {error}; run `quantize calibrate` again, or take another copy."
            ) from error


#: GGML type -> NumPy's little-endian dtype.
_DTYPES = {"F32": "<f4", "F16": "<f2"}


class _Held:
    """What the file holds, by name; values that are missing or of another kind raise ValueError."""

    def __init__(
        self, path: Path, fields: Mapping[str, Field], tensors: Mapping[str, GgufTensor], file: OpenFile
    ) -> None:
        self._path = path
        self._fields = fields
        self._tensors = tensors
        self._file = file

    def check_version(self) -> None:
        """Refuse a file that is not a calibration, or is a newer version's."""
        field = self._fields.get(keys.VERSION_KEY)
        if field is None:
            raise CheckpointError(
                f"{self._path} lacks {keys.VERSION_KEY}, so it is not a calibration; give the file that `quantize "
                "calibrate` has written with --calibration, and one of llama-imatrix with --imatrix."
            )
        if field.value != keys.VERSION:
            raise UnsupportedError(
                f"{self._path} is a calibration of version {shown(field.value)}, and {keys.VERSION} is known here; "
                "update quantize-cli, or run `quantize calibrate` again."
            )

    def text(self, key: str) -> str:
        """Return one text."""
        field = self._fields.get(key)
        if field is None or field.type is not ValueType.STRING or not isinstance(field.value, str):
            raise ValueError(f"{key} is not there as text")
        return field.value

    def number(self, key: str, least: int = 1) -> int:
        """Return one number from `least` on."""
        field = self._fields.get(key)
        if field is None or field.type is not ValueType.UINT32 or field.value < least:
            raise ValueError(f"{key} is not there as a number from {least} on")
        return int(field.value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return texts; bytes that are not UTF-8 become surrogates."""
        return tuple(
            item if isinstance(item, str) else item.decode("utf-8", "surrogateescape")
            for item in self._items(key, ValueType.STRING)
        )

    def types(self) -> tuple[str, ...]:
        """Return the types that costs are of."""
        types = self.texts(keys.TYPES)
        if unknown := next((name for name in types if name not in WRITABLE_TYPES), None):
            raise UnsupportedError(
                f"{self._path} has costs of the type {shown(unknown)}, which is not known here; update quantize-cli."
            )
        return types

    def numbers(self, key: str, item_type: ValueType) -> tuple[int, ...]:
        """Return whole numbers."""
        return tuple(map(int, self._items(key, item_type)))

    def _items(self, key: str, item_type: ValueType) -> Sequence[str | bytes]:
        field = self._fields.get(key)
        if field is None or field.item_type is not item_type:
            raise ValueError(f"{key} is not there as a list of {item_type.name}")
        items: Sequence[str | bytes] = field.value
        return items

    def values(self, name: str, *, signed: bool = False) -> NDArray[np.float32]:
        """Return all values of a tensor in one row; they are finite, and `signed` tells whether they may be below 0."""
        return self.matrix(name, signed=signed).reshape(-1)

    def matrix(self, name: str, *, signed: bool = False, type_name: str = "F32") -> NDArray[np.float32]:
        """Return a tensor as float32 in its own shape; its values are finite."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ValueError(f"the tensor {shown(name)} is missing")
        if tensor.type.name != type_name:
            raise ValueError(f"the tensor {shown(name)} is {tensor.type.name} instead of {type_name}")
        content = self._file.read(tensor.offset, tensor.offset + tensor.nbytes)
        if len(content) != tensor.nbytes:
            raise ValueError("it became shorter while it was read")
        values = np.frombuffer(content, _DTYPES[type_name]).astype(np.float32).reshape(tensor.shape)
        if not np.isfinite(values).all():
            raise ValueError(f"the tensor {shown(name)} holds NaN or infinity")
        if not signed and (values < 0).any():
            raise ValueError(f"the tensor {shown(name)} holds numbers below 0")
        return values

    def has(self, name: str) -> bool:
        """Tell whether there is a tensor of that name."""
        return name in self._tensors

    def has_key(self, key: str) -> bool:
        """Tell whether there is a value of that key."""
        return key in self._fields


def _calibration(held: _Held) -> Calibration:
    types, names = held.types(), held.texts(keys.TENSORS)
    for what, listed in (("type", types), ("tensor", names)):
        if len({*listed}) < len(listed):
            raise ValueError(f"it lists a {what} twice")
    tokens = _tokens(held)
    return Calibration(
        model=ModelIdentity(held.text(keys.CONFIG), held.text(keys.SHAPES)),
        architecture=held.text(keys.ARCHITECTURE),
        context=held.number(CHUNK_SIZE),
        texts=tuple(_texts(held)),
        tensors=tuple(_tensor(held, name, types, tokens.shape) for name in names),
        blocks=tuple(_blocks(held)),
        tokens=tokens,
        held_out=_held_out(held, len(tokens)),
    )


def _tokens(held: _Held) -> NDArray[np.int32]:
    context = held.number(CHUNK_SIZE)
    if not held.has_key(keys.TOKEN_IDS):  # a version before methods has written the file
        return np.zeros((0, context), np.int32)
    ids = np.array(held.numbers(keys.TOKEN_IDS, ValueType.INT32), np.int32)
    if ids.size % context or (ids < 0).any():
        raise ValueError(f"{keys.TOKEN_IDS} does not hold sequences of {context} token ids")
    return ids.reshape(-1, context)


def _held_out(held: _Held, sequences: int) -> int:
    if not sequences:
        return 0
    count = held.number(keys.HELD_OUT, least=0)
    if count >= sequences:
        raise ValueError(f"{keys.HELD_OUT} is {count} of {sequences} sequences")
    return count


def _texts(held: _Held) -> Iterator[TextRecord]:
    kinds, hashes = held.texts(keys.KINDS), held.texts(keys.HASHES)
    tokens = held.numbers(keys.TOKENS, ValueType.UINT64)
    counts = held.numbers(keys.DOCUMENT_COUNTS, ValueType.UINT32)
    documents = held.texts(keys.DOCUMENTS)
    if not len(kinds) == len(tokens) == len(hashes) == len(counts) or sum(counts) != len(documents):
        raise ValueError("its lists of texts do not have the same length")
    start = 0
    for kind, of_kind, sha256, number in zip(kinds, tokens, hashes, counts, strict=True):
        yield TextRecord(kind, documents[start : start + number], of_kind, sha256)
        start += number


def _tensor(held: _Held, name: str, types: Sequence[str], tokens: tuple[int, ...]) -> TensorCalibration:
    sums, counts = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
    if held.has(f"{name}{keys.SUMS}"):
        sums, counts = held.values(f"{name}{keys.SUMS}"), held.values(f"{name}{keys.COUNTS}")
        if sums.size % counts.size:
            raise ValueError(f"{shown(name)} has {sums.size} sums, not a multiple of its {counts.size} counts")
        sums = sums.reshape(counts.size, -1)
    costs = held.values(f"{name}{keys.COSTS}", signed=True).tolist() if held.has(f"{name}{keys.COSTS}") else []
    if costs and len(costs) != len(types):
        raise ValueError(f"{shown(name)} has {len(costs)} costs for {len(types)} types")
    measured = {of_type: cost for of_type, cost in zip(types, costs, strict=False) if cost >= 0}
    return TensorCalibration(name, sums, counts, measured, **_of_methods(held, name, tokens))


def _of_methods(held: _Held, name: str, tokens: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """Return what methods round a tensor by, as far as it is there, for sequences and context as in `tokens`."""
    found = {}
    if held.has(weights := f"{name}{keys.TOKEN_WEIGHTS}"):
        found["token_weights"] = held.matrix(weights, type_name="F16")
        if found["token_weights"].shape != tokens:
            raise ValueError(f"{shown(weights)} does not hold {tokens[0]} sequences of {tokens[1]} tokens")
    if held.has(hessian := f"{name}{keys.HESSIAN}"):
        found["hessian"] = held.matrix(hessian, signed=True)
        if found["hessian"].ndim != 2 or len({*found["hessian"].shape}) > 1:
            raise ValueError(f"{shown(hessian)} is not a square matrix")
    if held.has(factors := f"{name}{keys.OUTPUT_FACTORS}"):
        found["output_factors"] = held.matrix(factors, signed=True, type_name="F16")
        if found["output_factors"].ndim != 2:
            raise ValueError(f"{shown(factors)} is not a matrix")
    return found


def _blocks(held: _Held) -> Iterator[BlockActivations]:
    for number in count():
        largest, mean_square = keys.LARGEST.format(number), keys.MEAN_SQUARE.format(number)
        if not held.has(largest):
            return
        block = BlockActivations(held.values(largest), held.values(mean_square))
        if block.largest.shape != block.mean_square.shape:
            raise ValueError(f"{largest} and {mean_square} do not have the same length")
        yield block
