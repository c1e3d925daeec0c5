"""The weights of a model as the engine wants them: the checkpoint's tensors by name, as float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from quantize_cli.calibrate.backwards import Arrays, Rows, arrays_of
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import CheckpointError, listed, shown
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.run.rows import decoded


class Weights(Protocol):
    """A source of weights."""

    def read(self, names: Sequence[str]) -> Arrays:
        """Return tensors of the checkpoint, each float32 in its own shape.

        Raises:
            CheckpointError: A file cannot be read, or holds NaN or infinity.
        """
        ...


class Original:
    """The weights of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def read(self, names: Sequence[str]) -> Arrays:
        """Return tensors of the checkpoint, each float32 in its own shape."""
        return {name: self._finite(name) for name in names}

    def _finite(self, name: str) -> Rows:
        info = self._checkpoint.infos[name]
        values = decoded(self._checkpoint.read_bytes(name, 0, info.rows), info.dtype).reshape(info.shape)
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"{info.file}: tensor {shown(name)} holds NaN or infinite weights; take the original model again."
            )
        return values


class Converted:
    """The weights of a model in the layout of a GGUF file, brought into the checkpoint's.

    Args:
        checkpoint: What the file is made of.
        tensors: The tensors of the file.
        rows: Returns the values of one, float32[rows, columns].
    """

    def __init__(
        self, checkpoint: Checkpoint, tensors: Iterable[PlannedTensor], rows: Callable[[PlannedTensor], Rows]
    ) -> None:
        self._original, self._infos, self._rows = Original(checkpoint), checkpoint.infos, rows
        self._made_of: dict[str, list[PlannedTensor]] = {}
        for tensor in tensors:
            for source in tensor.sources:
                self._made_of.setdefault(source, []).append(tensor)

    def read(self, names: Sequence[str]) -> Arrays:
        """Return tensors of the checkpoint, each float32 in its own shape; what the file lacks, as it is there."""
        wanted = {tensor.name: tensor for name in names for tensor in self._made_of.get(name, ())}
        arrays = arrays_of(wanted.values(), self._rows, self._infos)
        for name in names:
            missing = np.isnan(arrays[name]) if name in arrays else None
            if missing is None:
                arrays |= self._original.read([name])
            elif missing.any():
                arrays[name][missing] = self._original.read([name])[name][missing]
        return {name: arrays[name] for name in names}


class Quantized(Converted):
    """The weights of a GGUF file that was made of a checkpoint.

    Raises:
        CheckpointError: The file is not of this model.
    """

    def __init__(self, file: GgufCheckpoint, checkpoint: Checkpoint, tensors: Sequence[PlannedTensor]) -> None:
        self._file = file
        _check(file, tensors, checkpoint)
        super().__init__(checkpoint, tensors, self._decoded)

    def _decoded(self, tensor: PlannedTensor) -> Rows:
        info = self._file.infos[tensor.name]
        return decoded(self._file.read_bytes(info.name, 0, info.rows), info.dtype)


def _check(file: GgufCheckpoint, tensors: Iterable[PlannedTensor], checkpoint: Checkpoint) -> None:
    """Refuse a file whose tensors are not those of the model."""
    planned: Mapping[str, PlannedTensor] = {tensor.name: tensor for tensor in tensors}
    foreign = [name for name in file.infos if name not in planned]
    missing = [name for name in planned if name not in file.infos]
    if foreign or missing:
        trouble = f"it has {listed([shown(name) for name in foreign])}" if foreign else f"it lacks {listed(missing)}"
        raise CheckpointError(f"{file.location} is not made of {checkpoint.location}: {trouble}; give its original.")
    for name, info in file.infos.items():
        if info.shape != planned[name].shape:
            raise CheckpointError(
                f"{file.location} is not made of {checkpoint.location}: tensor {shown(name)} is {list(info.shape)} "
                f"there, and would be {list(planned[name].shape)}; give its original."
            )
