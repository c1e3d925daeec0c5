"""A checkpoint of safetensors files in the Hugging Face layout, read row by row and never mapped into memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from quantize_cli.checkpoints.files import TensorFiles, reading, stamp_of
from quantize_cli.checkpoints.safetensors_header import MAX_HEADER_BYTES, parse_object, read_header
from quantize_cli.errors import CheckpointError, UnsupportedError, shown

INDEX_NAME = "model.safetensors.index.json"

#: A file name and nothing else: no separator, no drive, no control character. Symbolic links are fine, the Hugging Face
#: cache is made of them.
_SHARD_NAME = re.compile(r"[\w.][\w .+=@()-]*\.safetensors")

#: What a folder without model*.safetensors may hold instead, and what to do then; the first match counts.
_OTHER_WEIGHTS = {
    "adapter_model.safetensors": "merge this adapter into its base model first",
    "consolidated*.safetensors": "take the model's Hugging Face layout instead of Mistral's own",
    "*.safetensors": "give the path of that file instead of the folder's",
    "*.gguf": "give the path of that file instead of the folder's",
    "*.bin": "save the model as safetensors first",
    "*.pth": "save the model as safetensors first",
    "*.pt": "save the model as safetensors first",
}


class SafetensorsCheckpoint(TensorFiles):
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
        folder = path if path.is_dir() else path.parent
        super().__init__(folder, name or _folder_name(folder))
        for file in files:
            with reading(file):
                self._add(file, stamp_of(file.stat()), read_header(file))
        if weight_map is not None:
            self._check_against(weight_map)
        if not self._infos:
            raise CheckpointError(f"{path} holds no tensors at all; download the model again.")

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


def _find_files(path: Path) -> tuple[dict[str, str] | None, list[Path]]:
    """The index's map from tensors to shards, if there is an index, and the files to read, sorted by name."""
    if not path.is_dir():
        if not path.exists():
            raise CheckpointError(f"There is no such folder or file as {path}; check the path.")
        if path.suffix != ".safetensors":
            raise UnsupportedError(
                f"{path} is no safetensors file; give a model folder, a .safetensors or a .gguf file."
            )
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
