"""Provenance: what a file tells of its source and of the options that decided its bytes, in keys of our own.

They stand at the end of the metadata: without them it is the reference's. They depend on the source and the options
alone, never on the machine, the time, or the folder in which a model lies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.planning.method_fields import METHOD
from quantize_cli.planning.options import PlanOptions
from quantize_cli.version import __version__

VERSION = "quantize.version"
RECIPE = "quantize.recipe"
IMATRIX_SHA256 = "quantize.imatrix.sha256"
SOURCE = "quantize.source."
#: In a recipe: whether the types of the tensors were chosen within a budget.
CHOSEN_TYPES = "chosen_types"
#: The model's name, its Hub id and commit; its files of weights, their sizes in bytes, their SHA-256 in hex digits.
NAME, REPOSITORY, COMMIT, FILES, SIZES, HASHES = (
    f"{SOURCE}{name}" for name in ("name", "repository", "commit", "files", "sizes", "sha256")
)


def is_ours(key: str) -> bool:
    """Tell whether a key is one of provenance; the other keys that begin with `quantize.` are llama-quantize's."""
    return key in (VERSION, RECIPE, IMATRIX_SHA256, METHOD) or key.startswith((SOURCE, f"{METHOD}."))


def usual_options(pre_tokenizer: str | None) -> PlanOptions:
    """Return the options of a plan with provenance and without any other option but this one."""
    return PlanOptions(recipe=recipe_of(PlanOptions(), pre_tokenizer, (), ()))


def with_provenance(metadata: tuple[Field, ...], provenance: tuple[Field, ...]) -> tuple[Field, ...]:
    """Put `provenance` at the end of the metadata, in place of that of a source which has some."""
    return (*(field for field in metadata if not is_ours(field.key)), *provenance) if provenance else metadata


def provenance_fields(checkpoint: Checkpoint, options: PlanOptions, *, chosen: bool = False) -> tuple[Field, ...]:
    """Return the fields that tell where the file comes from; none if `options.recipe` is None.

    If types are `chosen` within a budget, the recipe notes it, but not which: the file's table of tensors holds them.

    A file's SHA-256 is what the Hub states of it, so it is unknown, "", for files that do not come from there: whole
    files of weights would have to be read before the first byte is written.
    """
    if options.recipe is None:
        return ()
    files = checkpoint.source_files
    told = [
        _text(VERSION, __version__),
        _text(NAME, checkpoint.name),
        *([] if checkpoint.repository is None else [_text(REPOSITORY, checkpoint.repository)]),
        *([] if checkpoint.commit is None else [_text(COMMIT, checkpoint.commit)]),
        _array(FILES, ValueType.STRING, (_safe(file.name) for file in files)),
        _array(SIZES, ValueType.UINT64, (file.nbytes for file in files)),
    ]
    if any(file.sha256 is not None for file in files):
        told.append(_array(HASHES, ValueType.STRING, (file.sha256 or "" for file in files)))
    recipe = _with_chosen_types(options.recipe) if chosen else options.recipe
    told.append(_text(RECIPE, recipe))
    if options.importance is not None and options.importance.sha256 is not None:
        told.append(_text(IMATRIX_SHA256, options.importance.sha256))
    return tuple(told)


def recipe_of(
    options: PlanOptions,
    pre_tokenizer: str | None,
    include_weights: Iterable[str],
    exclude_weights: Iterable[str],
) -> str:
    """Return the options that decide the bytes as JSON text: keywords of the library with values that it takes.

    The format is not among them, because `general.file_type` tells it, nor is the importance matrix, which has keys of
    its own. Of files that options name it holds the content.
    """
    overrides = options.overrides
    held: dict[str, Any] = {
        "pre_tokenizer": pre_tokenizer,
        "include_weights": options.importance and list(include_weights),
        "exclude_weights": options.importance and list(exclude_weights),
        "tensor_types": [[pattern.pattern, type_name] for pattern, type_name in overrides.tensor_types],
        "output_tensor_type": overrides.output_tensor_type,
        "token_embedding_type": overrides.token_embedding_type,
        "pure": overrides.pure,
        "leave_output_tensor": overrides.leave_output_tensor,
        "prune_layers": sorted(options.prune_layers),
        "override_kv": list(map(_override, options.metadata)),
        "keep_split": options.keep_split,
        "split_max_size": options.split_max_size,
    }
    return json.dumps({name: value for name, value in held.items() if value}, separators=(",", ":"))


def _with_chosen_types(recipe: str) -> str:
    return json.dumps({**json.loads(recipe), CHOSEN_TYPES: True}, separators=(",", ":"))


#: Type of a field -> the TYPE of KEY=TYPE:VALUE.
_OVERRIDES = {
    ValueType.UINT32: "int",
    ValueType.FLOAT32: "float",
    ValueType.BOOL: "bool",
    ValueType.STRING: "str",
}


def _override(field: Field) -> str:
    value = str(field.value).lower() if field.type is ValueType.BOOL else field.value
    return f"{field.key}={_OVERRIDES[field.type]}:{value}"


def _text(key: str, text: str) -> Field:
    return Field(key, ValueType.STRING, _safe(text))


def _array(key: str, item_type: ValueType, items: Iterable[object]) -> Field:
    return Field(key, ValueType.ARRAY, tuple(items), item_type)


def _safe(text: str) -> str:
    """Return text that UTF-8 can spell; names of files may hold other bytes."""
    return text.encode("utf-8", "backslashreplace").decode()
