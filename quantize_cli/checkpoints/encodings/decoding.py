"""What turns codes into weights, and the checkpoint that offers the weights in the place of the codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.checkpoints.encodings.floats import Floats
from quantize_cli.checkpoints.encodings.wrapped import Wrapped
from quantize_cli.errors import CheckpointError, shown

#: A function that reads rows of a tensor of the files: name, start, stop -> uint8[stop - start, bytes of a row].
Read: TypeAlias = Callable[[str, int, int], NDArray[np.uint8]]


class Decoding(Protocol):
    """A way to compute one tensor of weights from tensors of the files."""

    @property
    def info(self) -> TensorInfo:
        """The weights, F32."""
        ...

    def rows(self, read: Read, start: int, stop: int) -> Floats:
        """Return the rows `start:stop` of the weights, float32[stop - start, columns].

        Raises:
            CheckpointError: A scale is NaN or infinite, or the codes contradict the configuration.
        """
        ...


@dataclass(frozen=True)
class Decodings:
    """What a method to quantize has made of a checkpoint's tensors."""

    tensors: tuple[Decoding, ...]
    unused: frozenset[str] = frozenset()  #: names of tensors that only serve to compute in few bits


def weights(name: str, shape: tuple[int, ...], *stored: TensorInfo) -> TensorInfo:
    """Return the header of weights in float32 that are decoded from `stored`."""
    return TensorInfo(name, "F32", shape, math.prod(shape) * 4, stored[0].file, stored)


class DecodedCheckpoint(Wrapped):
    """A checkpoint whose codes are read as weights.

    Args:
        inner: The checkpoint whose files are read.
        decodings: The tensors of weights, and the tensors to leave out.
    """

    def __init__(self, inner: Checkpoint, decodings: Decodings) -> None:
        self._decodings = {decoding.info.name: decoding for decoding in decodings.tensors}
        super().__init__(inner, dict(_infos(inner.infos, decodings)))

    def read_bytes(self, name: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Read rows as they are stored, or as float32; see `Checkpoint.read_bytes`."""
        if name not in self._decodings:
            return self.inner.read_bytes(name, start, stop)
        return _bytes(self._decodings[name].rows(self.inner.read_bytes, start, stop))

    def read_small(self, name: str) -> NDArray[np.uint8]:
        """Read a small tensor's bytes; see `Checkpoint.read_small`."""
        if name not in self._decodings:
            return self.inner.read_small(name)

        def read(stored: str, start: int, stop: int) -> NDArray[np.uint8]:
            return self.inner.read_small(stored).reshape(self.inner.infos[stored].rows, -1)[start:stop]

        return _bytes(self._decodings[name].rows(read, 0, self.infos[name].rows)).reshape(-1)


def _bytes(rows: Floats) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows, "<f4").view(np.uint8)


def _infos(infos: Mapping[str, TensorInfo], decodings: Decodings) -> Iterator[tuple[str, TensorInfo]]:
    """Yield all tensors by name; weights are in the place of their codes."""
    made = {decoding.info.stored[0].name: decoding.info for decoding in decodings.tensors}
    gone = decodings.unused.union(*({part.name for part in info.stored} for info in made.values()))
    for name, info in infos.items():
        if name in made:
            yield made[name].name, made[name]
        elif name not in gone:
            yield name, info


def check_names(infos: Mapping[str, TensorInfo], decodings: Decodings) -> None:
    """Refuse weights that the files hold beside the codes that they are decoded from.

    Raises:
        CheckpointError: There are some.
    """
    for weight in (decoding.info for decoding in decodings.tensors):
        codes, held = weight.stored[0], infos.get(weight.name)
        if held is not None and held not in weight.stored:
            raise CheckpointError(
                f"{held.file} holds {shown(held.name)} beside {shown(codes.name)} of {codes.file}, from which it is "
                "decoded; remove the file that does not belong to the model."
            )


def lacking(missing: str, role: str, beside: TensorInfo) -> CheckpointError:
    """Return the refusal of codes without one of the tensors that belong to them."""
    return CheckpointError(
        f"{beside.file} holds {shown(beside.name)} as {beside.dtype}, but the model lacks {shown(missing)}, {role}; "
        "download the model again."
    )


def unlike(info: TensorInfo, codes: TensorInfo, wanted: str) -> CheckpointError:
    """Return the refusal of a tensor whose dtype or shape does not fit the codes that it belongs to."""
    return CheckpointError(
        f"{shown(info.name)} of {info.file} is {info.dtype} {list(info.shape)}, but with {shown(codes.name)}, "
        f"{codes.dtype} {list(codes.shape)}, it must be {wanted}; download the model with its config.json again."
    )


def check_finite(scales: Floats, info: TensorInfo) -> None:
    """Refuse scales that are NaN or infinite.

    Raises:
        CheckpointError: One is.
    """
    if not np.isfinite(scales).all():
        value = float(scales[~np.isfinite(scales)].flat[0])
        raise CheckpointError(
            f"{shown(info.name)} of {info.file} holds {value} among the scales of weights; download that file again."
        )


def names_ending(infos: Iterable[str], *suffixes: str) -> frozenset[str]:
    """Return the names that end in one of the suffixes."""
    return frozenset(name for name in infos if name.endswith(suffixes))
