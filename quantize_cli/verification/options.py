"""The options with which a file was made: what it tells of them, and what the user gives."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.fields import Field
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.keywords import PlanKeywords
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.find import find_format
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.provenance import CHOSEN_TYPES, COMMIT, IMATRIX_SHA256, RECIPE, REPOSITORY

#: A key of llama-quantize, in every file that was made with an importance matrix.
_IMATRIX_FILE = "quantize.imatrix.file"
#: Keywords that a recipe may have, with the types of their values.
_TYPES: dict[str, type] = {
    "pre_tokenizer": str, "include_weights": list, "exclude_weights": list, "tensor_types": list,
    "output_tensor_type": str, "token_embedding_type": str, "pure": bool, "leave_output_tensor": bool,
    "prune_layers": list, "override_kv": list, "keep_split": bool, "split_max_size": int, "chosen_types": bool,
}  # fmt: skip
#: How a file is divided does not matter, because tensors are found by their names.
_DIVISION = ("keep_split", "split_max_size")
#: What makes the search for a regular expression take exponential time, or a power of the text's length.
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_REPETITION = re.compile(r"[*+{]")
_MOST_REPETITIONS = 2


class Told:
    """What a file's metadata tells of its making, and its types as entries of `tensor_types`."""

    def __init__(self, metadata: Sequence[Field], path: str, types: Sequence[tuple[str, str]] = ()) -> None:
        self._path = path
        self._types = types
        self._fields = {field.key: field.value for field in metadata}

    def text(self, key: str) -> str | None:
        """Return the text of a key, or None."""
        value = self._fields.get(key)
        return value if isinstance(value, str) else None

    def format(self, said: str | None) -> Mix:
        """Return the format that the user gives, or the one that the file states.

        Raises:
            UsageError: The file does not state a format that is known here.
        """
        if said is not None:
            return find_format(said)
        number = self._fields.get("general.file_type")
        mix = next((mix for mix in FORMATS.values() if mix.file_type == number), None)
        if mix is None:
            raise UsageError(f"{self._path} does not state a format that is known here; give it with --format.")
        return mix

    def revision(self, model: str | Path) -> str | None:
        """Return the commit that the file comes from if `model` is the Hub id that it names."""
        return self.text(COMMIT) if self.text(REPOSITORY) == str(model) and not Path(model).exists() else None

    def keywords(self, said: PlanKeywords) -> PlanKeywords:
        """Return the keywords that the file's recipe has, each replaced by what the user gives.

        Raises:
            UsageError: The file was made with an importance matrix or patterns that the user has to give.
        """
        given = {name: value for name, value in said.items() if value}
        held = {name: value for name, value in self._recipe().items() if name not in given}
        if not given.get("imatrix"):
            if name := self.text(_IMATRIX_FILE):
                raise UsageError(
                    f"{self._path} was made with the importance matrix {shown(name)}; give that file with --imatrix."
                )
            held = {name: value for name, value in held.items() if not name.endswith("_weights")}
        if unsafe := next((p for p, _ in held.get("tensor_types", ()) if not _is_simple(p)), None):
            raise UsageError(
                f"{self._path} was made with --tensor-type {shown(unsafe)}, which could take for ever and comes from "
                "the file; give it again if you trust it."
            )
        if held.pop(CHOSEN_TYPES, False):
            held["tensor_types"] = [*held.get("tensor_types", ()), *self._types]
        merged = {**held, **given, "allow_requantize": True, "no_provenance": True}
        return cast("PlanKeywords", {name: value for name, value in merged.items() if name not in _DIVISION})

    def other_matrix(self, matrix: ImportanceMatrix | None) -> str | None:
        """Return a sentence if the importance matrix is not the file with which this one was made."""
        wanted = self.text(IMATRIX_SHA256)
        if matrix is None or wanted is None or matrix.sha256 in (None, wanted):
            return None
        return f"{matrix.file} is not the importance matrix with which {self._path} was made; its content differs."

    def _recipe(self) -> dict[str, Any]:
        text = self.text(RECIPE)
        try:
            recipe = json.loads(text or "{}")
        except (ValueError, RecursionError):
            recipe = None
        if not isinstance(recipe, dict) or not all(_is_of_type(name, value) for name, value in recipe.items()):
            raise UsageError(
                f"{self._path} has a {RECIPE} that is not known here; take a newer version of quantize-cli."
            )
        return recipe


def _is_of_type(name: str, value: object) -> bool:
    if type(value) is not _TYPES.get(name):
        return False
    if not isinstance(value, list):
        return True
    if name == "tensor_types":
        return all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in value
        )
    kind = int if name == "prune_layers" else str
    return all(type(item) is kind for item in value)


def _is_simple(pattern: str) -> bool:
    """Tell whether a search for the pattern is quick whatever the text is; it comes from an untrusted file."""
    return _REPEATED_GROUP.search(pattern) is None and len(_REPETITION.findall(pattern)) <= _MOST_REPETITIONS
