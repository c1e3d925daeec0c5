"""A checkpoint of safetensors files in the Hugging Face layout, read row by row and never mapped into memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from quantize_cli.checkpoints.files import Located, TensorFiles
from quantize_cli.checkpoints.reading import reading, stamp_of
from quantize_cli.checkpoints.safetensors_header import read_header
from quantize_cli.checkpoints.sidecars import INDEX_NAME, FolderSidecars, Sidecars, read_object
from quantize_cli.errors import CheckpointError, UnsupportedError, shown

#: A file name and nothing else: no separator, no drive, no control character. Symbolic links are fine, because the
#: Hugging Face cache consists of them.
_SHARD_NAME = re.compile(r"[\w.][\w .+=@()-]*\.safetensors")

#: Files that a folder without model*.safetensors may hold instead -> advice; the first match wins.
_OTHER_WEIGHTS = {
    "adapter_model.safetensors": "merge this adapter into its base model first",
    "consolidated*.safetensors": "take the model's Hugging Face layout instead of Mistral's own",
    "*.safetensors": "give the path of that file instead of the folder's",
    "*.gguf": "give the path of that file instead of the folder's",
    "*.bin": "save the model as safetensors first",
    "*.pth": "save the model as safetensors first",
    "*.pt": "save the model as safetensors first",
}


class SafetensorsFiles(TensorFiles):
    """Files of one checkpoint in the Hugging Face layout, with the small files that describe the model."""

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads to one of the files that hold the tensors, or of the small files beside them."""
        return super().reads(path) or self.sidecars.reads(path)

    def _add_file(self, path: Path) -> None:
        """Add the tensors of a file on the disk."""
        self._add(self._read_header(path))

    def _read_header(self, path: Path) -> list[Located]:
        """Read the header of a file on the disk, which must not change from now on."""
        with reading(path):
            self._stamps[path.name] = stamp_of(path.stat())
            return read_header(path)

    def _check_against(self, weight_map: Mapping[str, str]) -> None:
        """Check that index and files name the same tensors; like the reference, let any file hold any tensor."""
        index = self.sidecars.where(INDEX_NAME)
        for name, shard in weight_map.items():
            if name not in self._infos:
                raise CheckpointError(f"{index}: tensor {shown(name)} is not in {shard}; download that file again.")
        for name, info in self._infos.items():
            if name not in weight_map:
                raise CheckpointError(
                    f"{index} does not list tensor {shown(name)} of {info.file}; download both files again."
                )


class SafetensorsCheckpoint(SafetensorsFiles):
    """A folder of `model*.safetensors`, with or without an index, or a single `.safetensors` file in its folder.

    `infos` is in the reference converter's order: files by name, tensors by name in each file.

    Args:
        path: The folder or file.

    Raises:
        CheckpointError: A file is missing or damaged, or the files contradict each other.
        UnsupportedError: There are weights, but not as safetensors.
    """

    def __init__(self, path: Path) -> None:
        with reading(path):
            is_folder = path.is_dir()
        folder = path if is_folder else path.parent
        sidecars = FolderSidecars(folder)
        super().__init__(folder, _folder_name(folder), str(path), sidecars)
        weight_map = read_index(sidecars) if is_folder else None
        for file in _weights(path, weight_map):
            self._add_file(file)
        if weight_map is not None:
            self._check_against(weight_map)
        if not self._infos:
            raise CheckpointError(f"{path} does not hold any tensors; download the model again.")


def _weights(path: Path, weight_map: Mapping[str, str] | None) -> list[Path]:
    """List the files to read, sorted by name."""
    with reading(path):
        if path.is_dir():
            names = weight_files((file.name for file in path.iterdir()), weight_map)
            if not names and weight_map is None:
                raise _no_safetensors(path)
            return [path / name for name in names]
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; check the path.")
    if path.suffix != ".safetensors":
        raise UnsupportedError(
            f"{path} is not a safetensors file; choose a model folder, a .safetensors or a .gguf file."
        )
    return [path]


def weight_files(names: Iterable[str], weight_map: Mapping[str, str] | None) -> list[str]:
    """List the files that hold the weights, sorted: those of the index, or model*.safetensors without an index."""
    if weight_map is not None:
        return sorted(set(weight_map.values()))
    return sorted(name for name in names if fnmatchcase(name, "model*.safetensors") and "/" not in name)


def read_index(sidecars: Sidecars) -> dict[str, str] | None:
    """Read the `weight_map` of the index, tensor name -> name of a file beside it; return None without an index.

    Raises:
        CheckpointError: The index is damaged, or names files elsewhere.
    """
    if not sidecars.has(INDEX_NAME):
        return None
    where = sidecars.where(INDEX_NAME)
    weight_map = read_object(sidecars, INDEX_NAME).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{where} does not have a weight_map; download it again.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise CheckpointError(
                f"{where} places tensor {shown(name)} in {shown(shard)}, which is not the name of a .safetensors file "
                "beside it; take the model from a source you trust."
            )
    return weight_map


def _no_safetensors(folder: Path) -> CheckpointError | UnsupportedError:
    for pattern, advice in _OTHER_WEIGHTS.items():
        if other := min(folder.glob(pattern), default=None):
            return UnsupportedError(f"{folder} does not hold model*.safetensors, only {other.name}; {advice}.")
    return CheckpointError(f"{folder} does not hold model*.safetensors; choose the folder of a downloaded model.")


def _folder_name(folder: Path) -> str:
    """Return the last part of the path as it was given; only "." and ".." have to be resolved."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name
