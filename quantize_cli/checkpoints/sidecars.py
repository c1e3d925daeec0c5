"""The small files beside the weights, as bytes by name: config.json, tokenizer files, the model card; all untrusted."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from quantize_cli.checkpoints.hub_cache import is_blob
from quantize_cli.checkpoints.reading import irregular, leads_to, opened, reading
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.other_files import LFS_POINTER, START_BYTES, mistaken_for

#: Any value that a JSON file may hold.
Json: TypeAlias = Any

#: The index of a checkpoint in several files, which tells the file of each tensor.
INDEX_NAME = "model.safetensors.index.json"

#: Patterns of all small files that are read. They are downloaded from the Hub, and are never overwritten.
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "hf_quant_config.json",
    "README.md",
    INDEX_NAME,
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "tiktoken.model",
    "hy.tiktoken",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    "modules.json",
    "*_Pooling/config.json",
)

_MIB = 1 << 20
#: The largest file that is read. The largest in use: tokenizer.json 33 MiB, tekken.json 19 MiB, an index 15 MiB,
#: tokenizer.model 5 MiB, all others 3 MiB.
_MAX_BYTES = {
    "tokenizer.json": 256 * _MIB,
    "tokenizer.model": 64 * _MIB,
    "tekken.json": 64 * _MIB,
    INDEX_NAME: 128 * _MIB,
}
_MAX_OTHER_BYTES = 16 * _MIB

#: The escape of one half of a surrogate pair in JSON, with or without the other half beside it.
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class Sidecars(Protocol):
    """Small files by name; a name may have folders, "1_Pooling/config.json", with "/" between them."""

    def has(self, name: str) -> bool:
        """Tell whether the file exists."""
        ...

    def names(self, folder: str) -> tuple[str, ...]:
        """List the files of a folder, "" for the top, sorted; the list is empty if the folder does not exist."""
        ...

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            CheckpointError: The file is missing, cannot be read, or is larger than any file of its name.
        """
        ...

    def where(self, name: str) -> str:
        """Return the file's name in messages: with its folder, or its repository."""
        ...


class FolderSidecars:
    """The files of a folder on a disk.

    A file may be a symbolic link, of which the Hugging Face cache consists. It may also lead to a file of the same name
    elsewhere, because people build folders of links to their own files. Any other link is refused: a downloaded
    template that links to a key or to a process's environment would end in the model that is written.

    Args:
        folder: The folder.
        location: The folder's name in messages; the default is its path.
    """

    def __init__(self, folder: Path, location: str | None = None) -> None:
        self._folder = folder
        self._location = str(folder) if location is None else location
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Tell whether the file exists."""
        path = self._folder / name
        with reading(path):
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise irregular(path)
            return path.is_file()

    def names(self, folder: str) -> tuple[str, ...]:
        """List the files of a folder, "" for the top, sorted; the list is empty if the folder does not exist."""
        path = self._folder / folder
        with reading(path):
            if not path.is_dir():
                return ()
            return tuple(sorted(f"{folder}/{file.name}".lstrip("/") for file in path.iterdir() if file.is_file()))

    def read(self, name: str) -> bytes:
        """Read a file; see `Sidecars.read`."""
        path, where = self._folder / name, self.where(name)
        with opened(path) as file:
            self._check_link(path, where)
            content = file.read(0, max_bytes(name) + 1)
        check_size(len(content), name, where)
        if content.startswith(LFS_POINTER):
            raise CheckpointError(f"{where} is {mistaken_for(content, name)}.")
        self._read.add(name)
        return content

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        return str(Path(self._location) / name)

    def reads(self, path: Path) -> bool:
        """Tell whether `path` leads to one of the files that were read."""
        return leads_to(path, (self._folder / name for name in self._read))

    def holds(self, path: Path) -> bool:
        """Tell whether `path` leads to one of the small files of a model, read or not."""
        return leads_to(path, (file for pattern in SMALL_FILES for file in self._folder.glob(pattern)))

    def _check_link(self, path: Path, where: str) -> None:
        """Refuse a link that leads out of the folder to a file of another name, unless that is the Hub's cache."""
        real = Path(os.path.realpath(path))
        inside = real.is_relative_to(os.path.realpath(self._folder))
        if not (inside or is_blob(real) or real.name == path.name):
            raise CheckpointError(
                f"{where} is a link to {shown(str(real))}, which is outside the model's folder; if you trust it, copy "
                "the file to its place."
            )


def max_bytes(name: str) -> int:
    """Return the size of the largest file that is read under this name."""
    return _MAX_BYTES.get(name.rpartition("/")[2], _MAX_OTHER_BYTES)


def check_size(size: int, name: str, where: str) -> None:
    """Check that the file at `where`, of `size` bytes, is not larger than any of its name.

    Raises:
        CheckpointError: The file is larger.
    """
    limit = max_bytes(name)
    if size > limit:
        raise CheckpointError(
            f"{where} is larger than {limit // _MIB} MiB, so it cannot be a {name}; "
            "take the model from a source you trust."
        )


def read_text(sidecars: Sidecars, name: str) -> str:
    """Read a UTF-8 file.

    Raises:
        CheckpointError: The file is not UTF-8, or cannot be read.
    """
    try:
        return sidecars.read(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{sidecars.where(name)} is not UTF-8 text ({error}); download it again.") from error


def read_json(sidecars: Sidecars, name: str) -> Json:
    """Read a JSON file.

    Raises:
        CheckpointError: The file is not JSON, or cannot be read.
    """
    try:
        return parse_json(sidecars.read(name))
    except ValueError as error:
        raise _not_json(sidecars, name, f"is not valid JSON ({error})") from error


def read_object(sidecars: Sidecars, name: str) -> dict[str, Json]:
    """Read a JSON object, which is empty if the file does not exist.

    Raises:
        CheckpointError: The file is not a JSON object, or cannot be read.
    """
    if not sidecars.has(name):
        return {}
    try:
        return parse_object(sidecars.read(name))
    except ValueError as error:
        raise _not_json(sidecars, name, f"is not a JSON object ({error})") from error


def _not_json(sidecars: Sidecars, name: str, fault: str) -> CheckpointError:
    """Return the error of a file that is not JSON: what it is instead, if its first bytes tell."""
    start = sidecars.read(name)[:START_BYTES]
    mistaken = None if start.lstrip()[:1] in (b"{", b"[") else mistaken_for(start, name)
    return CheckpointError(f"{sidecars.where(name)} {f'is {mistaken}' if mistaken else f'{fault}; download it again'}.")


def parse_json(content: bytes) -> Json:
    """Parse JSON from an untrusted file: UTF-8, every key of an object once, and text that can be encoded again.

    Raises:
        ValueError: The content is not that.
    """
    has_halves = _ESCAPED_HALF.search(content) is not None
    try:
        text = content.decode("utf-8")
        del content  # tokenizer.json has up to 33 MiB, which need not be there twice
        parsed = json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # advice for programmers
            raise ValueError(f"it has an integer of more than {sys.get_int_max_str_digits()} digits") from error
        raise
    if has_halves:
        _refuse_halves(parsed)
    return parsed


def parse_object(content: bytes) -> dict[str, Json]:
    """Parse a JSON object from an untrusted file; see `parse_json`.

    Raises:
        ValueError: The content is not that.
    """
    parsed = parse_json(content)
    if not isinstance(parsed, dict):
        raise ValueError(f"it is {shown(parsed)}")
    return parsed


def _refuse_halves(parsed: Json) -> None:
    """Raise ValueError for text that cannot be written as UTF-8, anywhere in a JSON value."""
    pending = [parsed]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"{shown(value)} has half of a surrogate pair") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"it has the key {shown(name)} {count} times")
    return unique
