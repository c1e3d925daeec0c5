"""A model that is a GGUF file already, whole or in parts."""

from __future__ import annotations

import re
from pathlib import Path

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.files import Located, TensorFiles
from quantize_cli.checkpoints.reading import opened, reading
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.checkpoints.unfinished import check_finished, not_ended, unfinished
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import MAGIC
from quantize_cli.gguf_file.reader import parse_header
from quantize_cli.observer import Observer

#: Keys that only tell which part of a model a file is.
SPLIT_KEYS = SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"

_PART = re.compile(r"(?P<model>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
#: Suffixes that people append to a model's name to tell its files apart.
_TYPE_SUFFIX = re.compile(r"(?<=.)[-._](B?F16|F32|(I|T)?Q\d(_[0-9A-Z]+)*|MXFP4(_MOE)?|NVFP4)$", re.IGNORECASE)

_INTEGERS = frozenset(
    {
        ValueType.UINT8,
        ValueType.INT8,
        ValueType.UINT16,
        ValueType.INT16,
        ValueType.UINT32,
        ValueType.INT32,
        ValueType.UINT64,
        ValueType.INT64,
    }
)


class GgufCheckpoint(TensorFiles):
    """A GGUF file, or all parts of one (`NAME-00001-of-0000N.gguf`), each of which leads to the others.

    `infos` is in the order of the parts and of the tensors' data in each; their dtypes are GGML's names. `metadata` is
    that of the first part. `sidecars` are the files beside it, but a GGUF file does not need any.

    Args:
        path: The file, or one of the parts.
        observer: Receives a sentence when `path` is not the first part.

    Raises:
        CheckpointError: A file is missing or damaged, or the parts do not belong together.
        UnsupportedError: llama.cpp does not read a file's version or byte order.
    """

    def __init__(self, path: Path, observer: Observer | None = None) -> None:
        with reading(path):
            if not path.exists():
                if trace := unfinished(path):
                    raise not_ended(path, trace)
                raise CheckpointError(f"{path} does not exist; check the path.")
        super().__init__(path.parent, _model_name(path.name), str(path), FolderSidecars(path.parent))
        self._path = _first_part(path)
        check_finished(path.parent, [self._path.name])
        self._metadata = self._add_file(self._path)
        count = _number(self._metadata, SPLIT_COUNT, self._path) or 0
        # A file that other programs have joined may still state that it is a part.
        if count > 1 and _number(self._metadata, SPLIT_TENSORS, self._path) != len(self._infos):
            self._add_parts(self._path, count)
        if not self._infos:
            raise CheckpointError(f"{path} does not hold any tensors; choose a model.")
        if any(field.key == "general.type" and field.value == "imatrix" for field in self._metadata):
            raise CheckpointError(f"{path} is an importance matrix, not a model; give it with --imatrix.")
        if self._path != path and observer is not None:
            observer.noted(f"{path} is one of the {count} parts of a model: reading all of them.")

    @property
    def path(self) -> Path:
        """The given file, or the first of its parts."""
        return self._path

    @property
    def metadata(self) -> tuple[Field, ...]:
        """The metadata as it stands, in file order; text that is not UTF-8 is bytes."""
        return self._metadata

    def _add_file(self, path: Path) -> tuple[Field, ...]:
        """Add one file's tensors and return its metadata."""
        with opened(path) as file:
            header = parse_header(file.stream(), file.size, path)
            ends = {header.data_end, -(-header.data_end // header.alignment) * header.alignment}
            if any(file.read(end, end + len(MAGIC)) == MAGIC for end in ends):
                raise CheckpointError(
                    f"{path} is several GGUF files one behind the other, as `cat` joins the parts of a model; take the "
                    "parts themselves, or join them with `llama-gguf-split --merge`."
                )
        tensors = (
            Located(TensorInfo(tensor.name, tensor.type.name, tensor.shape, tensor.nbytes, path.name), tensor.offset)
            for tensor in header.tensors
        )
        self._add(tensors)
        self._stamps[path.name] = file.stamp
        return header.fields

    def _add_parts(self, first: Path, count: int) -> None:
        """Add the parts that follow the first of `count`."""
        names = _PART.fullmatch(first.name)
        if names is None:
            raise CheckpointError(
                f"{first} is one of {count:,} parts, but its name does not lead to the others; give the parts their "
                f"names back (NAME-00001-of-{count:05}.gguf)."
            )
        if _number(self._metadata, SPLIT_NO, first) != 0 or int(names["count"]) != count or int(names["number"]) != 1:
            raise CheckpointError(
                f"{first} is not what its name says, but part {(_number(self._metadata, SPLIT_NO, first) or 0) + 1} of "
                f"{count:,}; give the parts their names back (NAME-00001-of-{count:05}.gguf)."
            )
        # The name bounds the count, which the file could state at will.
        parts = [first.with_name(f"{names['model']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
        check_finished(self.folder, [part.name for part in parts])
        for number, part in enumerate(parts[1:], start=1):
            metadata = self._add_file(part)
            if _number(metadata, SPLIT_NO, part) != number or _number(metadata, SPLIT_COUNT, part) != count:
                raise CheckpointError(
                    f"{part} is not what its name says, part {number + 1} of {count}; download it again."
                )
        expected = _number(self._metadata, SPLIT_TENSORS, first)
        if expected != len(self._infos):
            raise CheckpointError(
                f"{first} states that its {count} parts hold {expected} tensors, but they hold {len(self._infos)}; "
                "download them again."
            )


def parts_of(path: Path) -> list[Path]:
    """Return all parts of the model of which `path` is one by its name, or `path` alone; none needs to exist."""
    names = _PART.fullmatch(path.name)
    if names is None:
        return [path]
    count = names["count"]
    return [path.with_name(f"{names['model']}-{number:05}-of-{count}.gguf") for number in range(1, int(count) + 1)]


def _first_part(path: Path) -> Path:
    """Return the first of the parts of which `path` is one by its name."""
    names = _PART.fullmatch(path.name)
    return path if names is None else path.with_name(f"{names['model']}-00001-of-{names['count']}.gguf")


def is_gguf(path: Path) -> bool:
    """Tell by its name or its first bytes whether `path` is meant as a GGUF file, which may not exist."""
    if path.is_dir():
        return False
    if path.suffix == ".gguf":
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _number(metadata: tuple[Field, ...], key: str, path: Path) -> int | None:
    field = next((field for field in metadata if field.key == key), None)
    if field is None:
        return None
    if field.type not in _INTEGERS:
        raise CheckpointError(f"{path} is damaged: its {key} is not an integer; download it again.")
    return int(field.value)


def _model_name(file_name: str) -> str:
    """Remove from the file's name what tells it apart from other files of the same model."""
    part = _PART.fullmatch(file_name)
    return _TYPE_SUFFIX.sub("", part["model"] if part else file_name.removesuffix(".gguf"))
