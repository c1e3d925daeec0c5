"""The comparison of metadata: what a file tells, and what the model's plan tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from quantize_cli.checkpoints.gguf import SPLIT_KEYS
from quantize_cli.errors import listed, shown
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.values import encode_field

#: Keys with this start describe the model: its name, its author. They follow the folder's name and the version of the
#: converter, except those that say how to read the file.
_DESCRIPTIVE = "general."
_DECISIVE = frozenset({"general.architecture", "general.alignment"})
#: Where a file comes from, in this program's words or in llama-quantize's.
_PROVENANCE = "quantize."


def different_values(found: Iterable[Field], planned: Iterable[Field]) -> Iterator[str]:
    """Yield the keys that both have, with other values, and that change what llama.cpp makes of the weights."""
    ours, theirs = _decisive(planned), _decisive(found)
    yield from (key for key in ours if key in theirs and encode_field(ours[key]) != encode_field(theirs[key]))


def notes_on_keys(found: Iterable[Field], planned: Iterable[Field], path: str) -> Iterator[str]:
    """Yield sentences about keys that only one of them has: versions of converters differ in them."""
    ours, theirs = _decisive(planned), _decisive(found)
    for keys, what in ((theirs.keys() - ours.keys(), "has"), (ours.keys() - theirs.keys(), "does not have")):
        if keys:
            other = "does not give" if what == "has" else "gives"
            yield f"{path} {what} {listed([shown(key) for key in sorted(keys)])}, which the model {other}."


def _decisive(fields: Iterable[Field]) -> Mapping[str, Field]:
    return {
        field.key: field
        for field in fields
        if field.key not in SPLIT_KEYS
        and not field.key.startswith(_PROVENANCE)
        and (field.key in _DECISIVE or not field.key.startswith(_DESCRIPTIVE))
    }
