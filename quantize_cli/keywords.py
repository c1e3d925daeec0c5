"""The library's options: keywords with plain values, and their meaning.

The command line's options have the same names and are passed on as these keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

from quantize_cli.errors import UsageError
from quantize_cli.gates.parse import Limits
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.importance.read import read_importance
from quantize_cli.mixes.overrides import TypeOverrides, TypePattern, read_tensor_type_file, type_pattern
from quantize_cli.mixes.tensor_types import find_type
from quantize_cli.planning.metadata import parse_override
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.provenance import recipe_of
from quantize_cli.planning.prune import parse_layers
from quantize_cli.planning.split import parse_size
from quantize_cli.tokenizers.pre_tokenizers import check_name

Said = TypeVar("Said")
Value = TypeVar("Value")


class PlanKeywords(TypedDict, total=False):
    """Options that decide the bytes of the output; None means the same as leaving a keyword out."""

    revision: str | None  #: branch, tag or commit on the Hub
    pre_tokenizer: str | None  #: llama.cpp's name of the pre-tokenizer; default: the recognised one
    imatrix: str | Path | ImportanceMatrix | None  #: importance matrix, or its file
    include_weights: str | Iterable[str] | None  #: use `imatrix` only for tensors whose names have one of these parts
    exclude_weights: str | Iterable[str] | None  #: do not use `imatrix` for tensors whose names have one of these parts
    #: regex -> type, or pairs of them, or files of REGEX=TYPE entries in their place; the first match wins
    tensor_types: Mapping[str, str] | Iterable[tuple[str, str] | Path] | None
    output_tensor_type: str | None  #: type of the output matrix
    token_embedding_type: str | None  #: type of the token embeddings
    pure: bool  #: use the format's main type for all tensors
    leave_output_tensor: bool  #: do not quantize the output matrix
    allow_requantize: bool  #: quantize tensors that are already quantized, which loses quality
    no_fallback: bool  #: refuse tensors whose rows are not whole blocks
    prune_layers: str | Iterable[int] | None  #: numbers of layers to leave out, or "3,7"
    override_kv: Mapping[str, bool | int | float | str] | Iterable[str] | None  #: key -> value, or KEY=TYPE:VALUE
    keep_split: bool  #: write as many files as the source has
    split_max_size: int | str | None  #: most bytes of tensors in a file, or "4G"
    no_provenance: bool  #: write neither keys that tell where the file comes from nor digests of its tensors


class Keywords(PlanKeywords, total=False):
    """Options of a run."""

    report: str | Path | Iterable[str | Path] | None  #: files for the report, each .json, .md or .html
    threads: int | None  #: number of threads; default: one for each processor that the process may use
    force: bool  #: overwrite an existing output or report
    max_rmse: Limits | None  #: most relative RMSE of the model, or of tensors: 0.08, "attn_v=5%"
    min_sqnr: Limits | None  #: least SQNR in decibels, of the model or of tensors
    max_size: Limits | None  #: most bytes of the files of a format, or of tensors: "4GiB"
    keep_failed: bool  #: keep files that do not pass one of these gates
    stream: bool  #: read the weights from the Hub while they are quantized, instead of downloading them first
    restart: bool  #: start anew where an earlier run was stopped; default: go on with what it has left
    push_to: str | None  #: upload the files and a model card to this repository on the Hub; it is made private
    public: bool  #: make that repository public after the upload


class VerifyKeywords(PlanKeywords, total=False):
    """Options of a check; those of a plan tell how the file was made, as far as it does not tell that itself."""

    format: str | None  #: the file's format; default: the one that it states
    sample: int | None  #: number of pieces of each tensor that are compared; default: all
    stream: bool  #: read the weights of a model on the Hub when they are needed, instead of downloading them first
    threads: int | None  #: number of threads; default: one for each processor that the process may use


def check_keywords(function: str, said: Mapping[str, object], known: Collection[str]) -> None:
    """Check that `known` has every keyword that was given to `function`.

    Raises:
        TypeError: A keyword is unknown; the message is Python's own.
    """
    for name in said:
        if name not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


def check_undecided(said: PlanKeywords) -> None:
    """Check that no keyword is given that only counts with a format.

    Raises:
        UsageError: One is.
    """
    for name, value in said.items():
        if value and name not in ("revision", "pre_tokenizer"):
            raise UsageError(f"--{name.replace('_', '-')} needs a format; name at least one with --format.")


def plan_options(said: PlanKeywords) -> PlanOptions:
    """Turn the keywords into the options of a plan, and read the files that they name.

    Raises:
        UsageError: A value is wrong, or two keywords contradict each other.
        CheckpointError: The importance matrix is missing or damaged.
    """
    if said.get("keep_split") and said.get("split_max_size") is not None:
        raise UsageError("--keep-split and --split-max-size cannot be combined; leave one of them out.")
    _given(check_name, said.get("pre_tokenizer"))
    entries = _entries(said.get("tensor_types") or ())
    importance, unmatched_weights = _importance(said)
    options = PlanOptions(
        overrides=TypeOverrides(
            output_tensor_type=_given(find_type, said.get("output_tensor_type")),
            token_embedding_type=_given(find_type, said.get("token_embedding_type")),
            tensor_types=_tensor_types(entries),
            pure=said.get("pure", False),
            leave_output_tensor=said.get("leave_output_tensor", False),
        ),
        # Like llama-quantize, ignore a matrix without entries.
        importance=importance if importance is not None and importance.entries else None,
        unmatched_weights=unmatched_weights,
        metadata=tuple(map(parse_override, _override_texts(said.get("override_kv") or ()))),
        prune_layers=_layers(said.get("prune_layers")),
        allow_requantize=said.get("allow_requantize", False),
        no_fallback=said.get("no_fallback", False),
        keep_split=said.get("keep_split", False),
        split_max_size=_size(said.get("split_max_size")),
        files=_files(said.get("imatrix"), entries),
    )
    if said.get("no_provenance"):
        return options
    selected = _texts(said.get("include_weights")), _texts(said.get("exclude_weights"))
    return replace(options, recipe=recipe_of(options, said.get("pre_tokenizer"), *selected))


def held(said: Keywords) -> Keywords:
    """Return the keywords with lists for iterators, which give their items only once."""
    return cast("Keywords", {name: list(v) if isinstance(v, Iterator) else v for name, v in said.items()})


def plain_values(said: PlanKeywords) -> dict[str, Any]:
    """Return the given keywords that decide the bytes of the output as JSON values, for a report.

    The importance matrix is left out, because a report tells more of it. So are keywords whose values change nothing.
    """
    given = {name: value for name, value in said.items() if name in PlanKeywords.__optional_keys__ and value}
    given.pop("imatrix", None)
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def _given(parse: Callable[[Said], Value], said: Said | None) -> Value | None:
    """Parse a value unless it is None; an empty text, for example of an unset variable, is a value."""
    return None if said is None else parse(said)


def _importance(said: PlanKeywords) -> tuple[ImportanceMatrix | None, tuple[tuple[str, str], ...]]:
    """Read the importance matrix and select its entries; also return each option and its texts without an entry."""
    include, exclude = _texts(said.get("include_weights")), _texts(said.get("exclude_weights"))
    imatrix = said.get("imatrix")
    if imatrix is None:
        if include or exclude:
            raise UsageError(
                "--include-weights and --exclude-weights select from an importance matrix; give it with --imatrix."
            )
        return None, ()
    matrix = imatrix if isinstance(imatrix, ImportanceMatrix) else read_importance(imatrix)
    asked = [("--include-weights", part) for part in include] + [("--exclude-weights", part) for part in exclude]
    unmatched = tuple((option, part) for option, part in asked if not any(part in name for name in matrix.entries))
    return matrix.selected(include, exclude), unmatched


def _texts(said: str | Iterable[str] | None) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said or ())


def _entries(said: Mapping[str, str] | Iterable[tuple[str, str] | Path]) -> list[tuple[str, str] | Path]:
    return list(said.items() if isinstance(said, Mapping) else said)


def _tensor_types(entries: Sequence[tuple[str, str] | Path]) -> tuple[TypePattern, ...]:
    patterns: list[TypePattern] = []
    for entry in entries:
        patterns += read_tensor_type_file(entry) if isinstance(entry, Path) else [type_pattern(*entry)]
    return tuple(patterns)


def _files(
    imatrix: str | Path | ImportanceMatrix | None, entries: Sequence[tuple[str, str] | Path]
) -> tuple[Path, ...]:
    """Return the files that the options came from, so that none is overwritten."""
    imatrix = imatrix.file if isinstance(imatrix, ImportanceMatrix) else imatrix
    matrices = [] if imatrix is None else [Path(imatrix)]
    return (*matrices, *(entry for entry in entries if isinstance(entry, Path)))


def _override_texts(said: Mapping[str, bool | int | float | str] | Iterable[str]) -> Iterable[str]:
    """Spell fields as the command line does: KEY=TYPE:VALUE, where Python's names of the types are those of TYPE."""
    if not isinstance(said, Mapping):
        return said
    return (
        f"{key}={type(value).__name__}:{str(value).lower() if isinstance(value, bool) else value}"
        for key, value in said.items()
    )


def _layers(said: str | Iterable[int] | None) -> frozenset[int]:
    if isinstance(said, str):
        return parse_layers(said)
    numbers = ",".join(map(str, said or ()))
    return parse_layers(numbers) if numbers else frozenset()


def _size(said: int | str | None) -> int | None:
    return said if said is None or (isinstance(said, int) and said > 0) else parse_size(str(said))
