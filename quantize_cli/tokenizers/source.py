"""The tokenizer files of a checkpoint folder, read once, with their sizes bounded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quantize_cli.errors import CheckpointError

_MIB = 1 << 20

#: Largest file that is read. The largest in use: tokenizer.json 33 MiB, tokenizer.model 5 MiB, the others 2 MiB.
_MAX_BYTES = {"tokenizer.json": 256 * _MIB, "tokenizer.model": 64 * _MIB}
_MAX_OTHER_BYTES = 16 * _MIB


@dataclass(frozen=True)
class TokenizerFiles:
    """Reads a folder's tokenizer files; what is not there is an empty object."""

    folder: Path

    def path(self, name: str) -> Path:
        """Where the file `name` is, or would be."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path(name).is_file()

    def checked_path(self, name: str) -> Path:
        """The path of a file that is there.

        Raises:
            CheckpointError: It is larger than a file of its kind can be.
        """
        path = self.path(name)
        limit = _MAX_BYTES.get(path.name, _MAX_OTHER_BYTES)
        if path.stat().st_size > limit:
            raise CheckpointError(
                f"{path} is larger than {limit // _MIB} MiB, which no tokenizer file is; check the download."
            )
        return path

    def text(self, name: str) -> str:
        """The file's content.

        Raises:
            CheckpointError: It cannot be read, or is not UTF-8.
        """
        path = self.checked_path(name)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error

    def json(self, name: str) -> dict[str, Any]:
        """The file's JSON object, empty where there is no such file.

        Raises:
            CheckpointError: It is not a JSON object.
        """
        content = self._parsed(name)
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise CheckpointError(f"{self.path(name)} has half a character ({error}); check the download.") from error
        return content

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return self.json("config.json")

    @cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        """tokenizer_config.json."""
        return self.json("tokenizer_config.json")

    @cached_property
    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json without its vocabulary, which `hf_json.load` reads with less memory."""
        content = self._parsed("tokenizer.json")
        mapping(content.get("model")).pop("vocab", None)
        return content

    def _parsed(self, name: str) -> dict[str, Any]:
        if not self.has(name):
            return {}
        try:
            content = json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.path(name)} is not JSON ({error}); check the download.") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path(name)} is not a JSON object; check the download.")
        return content


def mapping(value: object) -> dict[str, Any]:
    """`value` where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """`value` where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []
