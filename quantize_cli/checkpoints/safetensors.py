"""A checkpoint of safetensors files in the Hugging Face layout, read row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from quantize_cli.checkpoints.files import Located, TensorFiles
from quantize_cli.checkpoints.hub_cache import COMMIT, REPOSITORY, origin_of, snapshot_in
from quantize_cli.checkpoints.reading import reading
from quantize_cli.checkpoints.safetensors_header import read_header
from quantize_cli.checkpoints.sidecars import INDEX_NAME, FolderSidecars
from quantize_cli.checkpoints.unfinished import check_finished, is_trace, not_ended, unfinished
from quantize_cli.checkpoints.weight_files import INDEX_SUFFIX, other_weights, read_index, shards_of, weight_files
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, listed, shown
from quantize_cli.gguf_file.other_files import START_BYTES, mistaken_for
from quantize_cli.observer import Observer


class SafetensorsFiles(TensorFiles):
    """Files of one checkpoint in the Hugging Face layout, with the small files that describe the model."""

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads to one of the files that hold the tensors, or of the small files beside them."""
        return super().reads(path) or self.sidecars.holds(path)

    def _add_file(self, path: Path) -> None:
        """Add the tensors of a file on the disk."""
        self._add(self._read_header(path))

    def _read_header(self, path: Path) -> list[Located]:
        """Read the header of a file on the disk, which must not change from now on."""
        self._stamps[path.name], tensors = read_header(path)
        return tensors

    def _check_against(self, weight_map: Mapping[str, str], index_name: str = INDEX_NAME) -> None:
        """Check that index and files name the same tensors; like the reference, let any file hold any tensor."""
        index = self.sidecars.where(index_name)
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

    A shard or an index leads to all shards, and a repository's folder in the Hub's cache to its snapshot. `infos` is in
    the reference converter's order: files by name, tensors by name in each file.

    Args:
        path: The folder or file.
        observer: Receives a sentence when more or other files are read than the path tells.

    Raises:
        CheckpointError: A file is missing or damaged, or the files contradict each other.
        UnsupportedError: There are weights, but not as safetensors.
    """

    def __init__(self, path: Path, observer: Observer | None = None) -> None:
        with reading(path):
            is_folder = path.is_dir()
            folder = (snapshot_in(path) or path) if is_folder else path.parent
        super().__init__(folder, _folder_name(folder), str(path), FolderSidecars(folder))
        index = path.name if path.name.endswith(INDEX_SUFFIX) and not is_folder else INDEX_NAME
        weight_map = read_index(self.sidecars, index)
        if is_folder:
            files = _files_of(folder, weight_map)
        else:
            _check_file(path)
            if weight_map is not None and path.name not in (index, *weight_map.values()):
                weight_map = None  # the file is not one of the index's
            files = shards_of(path.name) if weight_map is None else weight_files((), weight_map, str(folder))
        check_finished(folder, files)
        for file in files:
            self._add_file(folder / file)
        if weight_map is not None:
            self._check_against(weight_map, index)
        if not self._infos:
            raise CheckpointError(f"{path} does not hold any tensors; download the model again.")
        self._tell(path, files, observer or Observer())

    def _tell(self, path: Path, files: list[str], observer: Observer) -> None:
        """Say which files are read, where the path does not tell."""
        if path.is_dir():
            others = sorted({file.name for file in self.folder.glob("model*.safetensors")}.difference(files))
            if others:
                observer.noted(f"{self.sidecars.where(INDEX_NAME)} does not list {listed(others)}: not read.")
        elif len(files) > 1:
            observer.noted(f"{path} is one of the files of a model: reading all {len(files)} files of weights.")


def _files_of(folder: Path, weight_map: Mapping[str, str] | None) -> list[str]:
    """List the files of a folder that hold the weights."""
    with reading(folder):
        names = [file.name for file in folder.iterdir()]
    files = weight_files(names, weight_map, str(folder))
    if not files and weight_map is None:
        raise _no_weights(folder, names)
    return files


def _check_file(path: Path) -> None:
    """Refuse a file that is missing, or that is not a safetensors file or an index."""
    with reading(path):
        if not path.exists():
            if trace := unfinished(path):
                raise not_ended(path, trace)
            raise CheckpointError(f"{path} does not exist; check the path.")
        if path.name.endswith((".safetensors", INDEX_SUFFIX)):
            return
        with path.open("rb") as file:
            mistake = mistaken_for(file.read(START_BYTES), "a model")
    if path.suffix in (".json", ".jinja", ".txt", ".md", ".model"):
        raise UnsupportedError(f"{path} is one of the small files of a model; give the path of its folder.")
    raise UnsupportedError(
        f"{path} is {mistake}."
        if mistake is not None
        else f"{path} is not a safetensors file; choose a model folder, a .safetensors or a .gguf file."
    )


def _no_weights(folder: Path, names: Iterable[str]) -> QuantizeError:
    """Return the refusal of a folder without weights, which tells what the folder is instead."""
    held = sorted(names)
    if trace := unfinished(folder / "model.safetensors") or next(filter(is_trace, map(folder.__truediv__, held)), None):
        return not_ended(folder, trace)
    if error := other_weights(held, str(folder)):
        return error
    inner = [name for name in held if (folder / name / "config.json").is_file() or REPOSITORY.fullmatch(name)]
    if inner:
        one = "that" if len(inner) == 1 else "one of them"
        return CheckpointError(f"{folder} is not a model, but holds {listed(inner)}; give the path of {one}.")
    if not held:
        return CheckpointError(f"{folder} is empty; choose the folder of a downloaded model.")
    return CheckpointError(f"{folder} does not hold model*.safetensors; choose the folder of a downloaded model.")


def _folder_name(folder: Path) -> str:
    """Return the last part of the path as it was given, or the repository's name instead of a snapshot's commit."""
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    origin = origin_of(folder)
    return origin.repository.rpartition("/")[2] if origin is not None and COMMIT.fullmatch(name) else name
