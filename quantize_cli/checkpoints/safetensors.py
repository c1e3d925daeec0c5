"""A checkpoint of safetensors files in the Hugging Face layout, read row by row and never mapped into memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import FLOAT_DTYPES, TensorInfo
from quantize_cli.checkpoints.safetensors_header import MAX_HEADER_BYTES, parse_object, read_header, shown
from quantize_cli.errors import CheckpointError, UnsupportedError

INDEX_NAME = "model.safetensors.index.json"

#: A file name and nothing else: no separator, no drive, no control character. Symbolic links are fine, the Hugging Face
#: cache is made of them.
_SHARD_NAME = re.compile(r"[\w.][\w .+=@()-]*\.safetensors")

#: What a folder without model*.safetensors may hold instead, and what to do then; the first match counts.
_OTHER_WEIGHTS = {
    "adapter_model.safetensors": "merge this adapter into its base model first",
    "consolidated*.safetensors": "take the model's Hugging Face layout instead of Mistral's own",
    "*.safetensors": "give the path of that file instead of the folder's",
    "*.gguf": "take the safetensors checkpoint that it was made from",
    "*.bin": "save the model as safetensors first",
    "*.pth": "save the model as safetensors first",
    "*.pt": "save the model as safetensors first",
}


class SafetensorsCheckpoint:
    """A folder of `model*.safetensors`, with or without an index, or a single `.safetensors` file in its folder.

    `infos` is in the reference converter's order: files by name, tensors by name in each file.

    Args:
        path: The folder or file.
        name: The model's name; None takes the folder's.

    Raises:
        CheckpointError: A file is missing or damaged, or the files contradict each other.
        UnsupportedError: There are weights, but not as safetensors.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        with reading(path):
            weight_map, files = _find_files(path)
        self._folder = path if path.is_dir() else path.parent
        self._name = name or _folder_name(self._folder)
        self._infos: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        for file in files:
            self._add(file)
        if weight_map is not None:
            self._check_against(weight_map)
        if not self._infos:
            raise CheckpointError(f"{path} holds no tensors at all; download the model again.")

    @property
    def folder(self) -> Path:
        """Where config.json and the tokenizer files lie."""
        return self._folder

    @property
    def name(self) -> str:
        """The folder's name, or the one that was given."""
        return self._name

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """Every tensor of every file: files by name, tensors by name in each file."""
        return self._infos

    def read_rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows `start:stop` of the first axis, in the source's dtype (one of FLOAT_DTYPES).

        Returns a fresh array of shape (stop - start, *shape[1:]); a tensor without axes is one row. The file is opened
        for each call, so that any number of threads may read and a model of any number of shards holds none open.

        Raises:
            CheckpointError: The file cannot be read any more, or has changed since its header was read.
            UnsupportedError: The tensor's dtype is none of FLOAT_DTYPES.
        """
        info = self._infos[name]
        rows, *columns = info.shape or (1,)
        if not 0 <= start <= stop <= rows:
            raise IndexError(f"rows {start}:{stop} of a tensor of {rows} rows")
        if info.dtype not in FLOAT_DTYPES:
            raise UnsupportedError(
                f"{self._folder / info.file}: tensor {shown(name)} is {info.dtype}, of which no weights can be made; "
                f"save the model as {', '.join(FLOAT_DTYPES)}."
            )
        row_bytes = info.nbytes // max(rows, 1)
        data = np.empty((stop - start) * row_bytes, np.uint8)
        self._read_into(data, info, self._offsets[name] + start * row_bytes)
        return data.view(FLOAT_DTYPES[info.dtype]).reshape(stop - start, *columns)

    def close(self) -> None:
        """Nothing to release: no file stays open between two calls."""

    def _add(self, file: Path) -> None:
        with reading(file):
            self._stamps[file.name] = _stamp(file.stat())
            tensors = read_header(file)
        for tensor in tensors:
            name = tensor.info.name
            if name in self._infos:
                raise CheckpointError(
                    f"{self._folder}: tensor {shown(name)} is in both {self._infos[name].file} and {file.name}; "
                    "remove the file that does not belong to the model."
                )
            self._infos[name] = tensor.info
            self._offsets[name] = tensor.offset

    def _check_against(self, weight_map: Mapping[str, str]) -> None:
        """Index and files must name the same tensors; which file holds which is left open, as by the reference."""
        index = self._folder / INDEX_NAME
        for name, shard in weight_map.items():
            if name not in self._infos:
                raise CheckpointError(f"{index}: tensor {shown(name)} is not in {shard}; download that file again.")
        for name, info in self._infos.items():
            if name not in weight_map:
                raise CheckpointError(
                    f"{index} does not list tensor {shown(name)} of {info.file}; download both files again."
                )

    def _read_into(self, data: NDArray[np.uint8], info: TensorInfo, offset: int) -> None:
        path = self._folder / info.file
        left = data.data
        with reading(path), path.open("rb", buffering=0) as file:
            unchanged = _stamp(os.fstat(file.fileno())) == self._stamps[info.file]
            file.seek(offset)
            while unchanged and left:
                count = file.readinto(left)
                unchanged = count > 0
                left = left[count:]
        if not unchanged:
            raise CheckpointError(
                f"{path} has changed while tensor {shown(info.name)} was read; start again when it is complete."
            )


def _find_files(path: Path) -> tuple[dict[str, str] | None, list[Path]]:
    """The index's map from tensors to shards, if there is an index, and the files to read, sorted by name."""
    if not path.is_dir():
        if not path.exists():
            raise CheckpointError(f"There is no such folder or file as {path}; check the path.")
        if path.suffix != ".safetensors":
            raise UnsupportedError(f"{path} is no safetensors file; give a model folder or a .safetensors file.")
        return None, [path]
    index = path / INDEX_NAME
    if index.exists():
        weight_map = read_index(index)
        return weight_map, [path / shard for shard in sorted(set(weight_map.values()))]
    files = sorted(file for file in path.iterdir() if fnmatchcase(file.name, "model*.safetensors"))
    if not files:
        raise _no_safetensors(path)
    return None, files


def read_index(path: Path) -> dict[str, str]:
    """The `weight_map` of an index: tensor name -> name of a file beside the index.

    Raises:
        CheckpointError: The index is damaged, or names files elsewhere.
    """
    with reading(path), path.open("rb") as file:
        text = file.read(MAX_HEADER_BYTES + 1)
    try:
        if len(text) > MAX_HEADER_BYTES:
            raise ValueError(f"it has more than {MAX_HEADER_BYTES} bytes")
        weight_map = parse_object(text).get("weight_map")
    except ValueError as error:
        raise CheckpointError(f"{path} is not a JSON object ({error}); download it again.") from error
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{path} has no weight_map; download it again.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise CheckpointError(
                f"{path} places tensor {shown(name)} in {shown(shard)}, which is not the name of a .safetensors file "
                "beside it; take the model from a source you trust."
            )
    return weight_map


def _no_safetensors(folder: Path) -> CheckpointError | UnsupportedError:
    for pattern, advice in _OTHER_WEIGHTS.items():
        if other := min(folder.glob(pattern), default=None):
            return UnsupportedError(f"{folder} holds no model*.safetensors, only {other.name}; {advice}.")
    return CheckpointError(f"{folder} holds no model*.safetensors; give the folder of a downloaded model.")


def _folder_name(folder: Path) -> str:
    """The last part of the path as it was given; only "." and ".." have to be resolved."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def _stamp(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusals about `path` into sentences, and refuse a pipe or device, which could block."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise CheckpointError(f"{path} is not a regular file; take the model from a source you trust.")
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; download it, or the whole model, again.") from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); check its permissions and its disk."
        ) from error
