"""The source of a vocabulary: the small files of a checkpoint, and the caller's choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_object, read_text

TOKENIZER_JSON = "tokenizer.json"

#: The letter that GPT-2's byte map gives a space; it stands for a space within a part of a merge.
_SPACE = "Ġ"


@dataclass(frozen=True)
class Source:
    """A reader of a checkpoint's tokenizer files, each at most once; a missing file is an empty object.

    Everything here is untrusted. Every method raises CheckpointError for a file that cannot be read, is too large, or
    does not hold what its name promises.
    """

    sidecars: Sidecars
    vocab_size: int | None = None  #: the embedding's rows; the vocabulary is padded up to it
    pre_tokenizer: str | None = None  #: the name that the user chose
    hf_class: str | None = None  #: the tokenizer class of transformers that the family fixes

    def has(self, name: str) -> bool:
        """Tell whether the file exists."""
        return self.sidecars.has(name)

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        return self.sidecars.where(name)

    def read(self, name: str) -> bytes:
        """Read a file, which must exist."""
        return self.sidecars.read(name)

    def text(self, name: str) -> str:
        """Read a UTF-8 file, which must exist."""
        return read_text(self.sidecars, name)

    def json(self, name: str) -> dict[str, Json]:
        """Read a JSON object."""
        return read_object(self.sidecars, name)

    @cached_property
    def config(self) -> Mapping[str, Json]:
        """The content of config.json."""
        return self.json("config.json")

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Json]:
        """The content of tokenizer_config.json."""
        return self.json("tokenizer_config.json")

    @property
    def tokenizer(self) -> Mapping[str, Json]:
        """The content of tokenizer.json without its vocabulary and its merges."""
        return self._tokenizer_json[0]

    @property
    def merges(self) -> tuple[str, ...]:
        """The merges of tokenizer.json, each with a space between its two parts."""
        return self._tokenizer_json[1]

    @cached_property
    def _tokenizer_json(self) -> tuple[dict[str, Json], tuple[str, ...]]:
        content = self.json(TOKENIZER_JSON)
        model = mapping(content.get("model"))
        model.pop("vocab", None)  # `hf_json.load` reads it in less memory
        return content, tuple(map(_merge, sequence(model.pop("merges", None))))


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, or an empty one."""
    return value if isinstance(value, list) else []


def _merge(merge: Json) -> str:
    if isinstance(merge, str):
        return merge
    return " ".join([str(part).replace(" ", _SPACE) for part in sequence(merge)])
