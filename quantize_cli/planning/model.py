"""Plans: frozen values that hold everything about the output before any weight is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from quantize_cli.architectures.maps import Map
from quantize_cli.architectures.moves import Move
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.header import TensorEntry, encode_header, padded
from quantize_cli.gguf_file.trailer import trailer_bytes
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.planning.digest import digest_of


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the output: its sources, what is done to them, its type, and its place in the file."""

    name: str
    shape: tuple[int, ...]  #: row-major
    type: str  #: GGML name
    reason: str
    offset: int  #: from the start of the tensor data of its file
    nbytes: int
    sources: tuple[str, ...]
    source_dtype: str
    source_bytes: int
    moves: tuple[Move, ...]
    maps: tuple[Map, ...]
    rounded_to: str | None  #: type of the converter's file, to which computed weights are rounded first; None is F32
    values: tuple[float, ...] | None  #: the tensor itself if it is computed from the configuration
    instead_of: str | None  #: the type that the tensor's shape ruled out
    importance: str | None  #: name of its entry in the importance matrix; None if it is missing or not needed
    cost: float | None = None  #: what its type costs, measured, in nats a token; None where no cost decided

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """Number of rows, over all leading dimensions."""
        return math.prod(self.shape[:-1])

    @property
    def columns(self) -> int:
        """Number of weights in a row."""
        return self.shape[-1]

    @property
    def rows_of_an_expert(self) -> int:
        """Number of rows that share an importance: those of one matrix of a stack, or all."""
        return self.shape[-2] if len(self.shape) > 2 else self.rows

    @property
    def copied(self) -> bool:
        """Whether the source's bytes are copied: blocks of the wanted type, or values that are not weights."""
        return self.source_dtype == self.type and (
            GGML_TYPES[self.type].quantized or not GGML_TYPES[self.type].writable
        )

    @property
    def unchanged(self) -> bool:
        """Whether the source holds the very same values, in the same type."""
        return self.source_dtype == self.type and self.values is None and not any(held.computes for held in self.maps)

    @property
    def extra_bytes(self) -> int:
        """Number of bytes beyond those of the type that the shape ruled out."""
        if self.instead_of is None:
            return 0
        wanted = GGML_TYPES[self.instead_of]
        return self.nbytes - round(self.weights * wanted.block_bytes / wanted.block_size)


@dataclass(frozen=True)
class PlannedFile:
    """One file of the output."""

    suffix: str  #: the part of its name after the output's stem: "" or "-00001-of-00003"
    metadata: tuple[Field, ...] = field(repr=False)  # a vocabulary would fill many screens
    tensors: tuple[PlannedTensor, ...] = field(repr=False)  #: in file order
    has_trailer: bool = False  #: whether digests follow the tensor data

    @cached_property
    def header(self) -> bytes:
        """The bytes before the tensor data, padding included; a large vocabulary takes a second to encode."""
        entries = [TensorEntry(t.name, t.shape, GGML_TYPES[t.type].number, t.nbytes) for t in self.tensors]
        return encode_header(self.metadata, entries)

    @property
    def data_bytes(self) -> int:
        """Size of the tensor data, padding included."""
        return sum(padded(tensor.nbytes) for tensor in self.tensors)

    @property
    def trailer_bytes(self) -> int:
        """Size of the digests behind the tensor data."""
        return trailer_bytes(len(self.tensors)) if self.has_trailer else 0

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return len(self.header) + self.data_bytes + self.trailer_bytes


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What decided a plan that was made within a budget."""

    said: str  #: the option and its value, "--target-size 5.5G"
    limit_bytes: int  #: the most bytes of all files together
    base: str  #: the format that decides where no costs are known; `general.file_type` is its number
    cost: float | None  #: the sum of the tensors' costs, in nats a token; None without a calibration


@dataclass(frozen=True)
class Plan:
    """The whole output in one format."""

    model: str
    architecture: str
    format: str
    files: tuple[PlannedFile, ...]
    warnings: tuple[str, ...]
    importance_sha256: str | None = None  #: of the importance matrix's entries; None if there is no matrix
    budget: Budgeted | None = None  #: None if a format was asked for

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the bytes, beside the contents of the source; see `planning/digest.py`."""
        return digest_of(self)

    @cached_property
    def tensors(self) -> tuple[PlannedTensor, ...]:
        """The tensors of all files, in the order in which they are written."""
        return tuple(tensor for file in self.files for tensor in file.tensors)

    @property
    def copied(self) -> bool:
        """Whether all tensors are copied unchanged, so that nothing is quantized or converted."""
        return all(tensor.unchanged for tensor in self.tensors)

    @property
    def file_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.file_bytes for file in self.files)

    @property
    def weights(self) -> int:
        """Number of weights in all tensors."""
        return sum(tensor.weights for tensor in self.tensors)
