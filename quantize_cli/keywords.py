"""The library's options: keywords with plain values, and their meaning.

The command line's options have the same names and are passed on as these keywords.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

from quantize_cli.errors import UsageError, shown
from quantize_cli.gates.kinds import KINDS
from quantize_cli.gates.parse import Limits
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.importance.read import read_importance
from quantize_cli.methods.table import COMPARED_TEXT, METHODS, costs_with
from quantize_cli.mixes.budget import parse_types
from quantize_cli.mixes.find import find_format
from quantize_cli.mixes.overrides import TypeOverrides, TypePattern, read_tensor_type_file, type_pattern
from quantize_cli.mixes.tensor_types import find_type
from quantize_cli.planning.budget import Amount, Budget, Like, Memory, TargetBits, TargetSize
from quantize_cli.planning.memory import parse_memory
from quantize_cli.planning.metadata import parse_override
from quantize_cli.planning.method_fields import PlannedMethod
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.provenance import recipe_of
from quantize_cli.planning.prune import parse_layers
from quantize_cli.planning.split import parse_size
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.sensitivity.read import read_calibration
from quantize_cli.tokenizers.pre_tokenizers import check_name

Said = TypeVar("Said")
Value = TypeVar("Value")


#: Keywords that give a budget in a format's place; at most one of them can be given.
BUDGETS = ("target_size", "target_bpw", "like", "memory")
_BUDGET_OPTIONS = "--target-size, --target-bpw, --like or --memory"
_MOST_BITS = 32


class PlanKeywords(TypedDict, total=False):
    """Options that decide the bytes of the output; None means the same as leaving a keyword out."""

    revision: str | None  #: branch, tag or commit on the Hub
    pre_tokenizer: str | None  #: llama.cpp's name of the pre-tokenizer; default: the recognised one
    imatrix: str | Path | ImportanceMatrix | None  #: importance matrix, or its file; default: that of `calibration`
    calibration: str | Path | None  #: file of `quantize calibrate`, by which types are chosen within a budget
    method: str | None  #: what rounds the tensors: "reference" (default), or one that needs `calibration`: "gptq"
    target_size: int | str | None  #: a budget, in a format's place: most bytes of the file, or "5.5G"
    target_bpw: float | str | None  #: a budget: most bits of a weight, over all tensors
    like: str | None  #: a budget: the bytes of the file in this format
    memory: int | str | None  #: a budget: bytes of memory for the file, the context and the compute buffer, or "16GiB"
    context: int | None  #: tokens of the context to run the file with; default: the model's, at most 4,096
    types: str | Iterable[str] | None  #: types to choose from: "k", "fast", "all", or a list; default: all measured
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
    write_tensor_types: str | Path | None  #: file for the types of the tensors, as `tensor_types` and llama-quantize
    #: take it
    device: str | None  #: where `method` computes: "cpu" (default), "cuda", "cuda:1", "mps"
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
        if value and name not in ("revision", "pre_tokenizer", "context"):
            raise UsageError(f"{_option(name)} needs a format; name at least one with --format.")


def budget_of(said: PlanKeywords) -> str | None:
    """Return the option that gives a budget in a format's place, or None.

    Raises:
        UsageError: Several options give one.
    """
    given = [name for name in BUDGETS if said.get(name) is not None]
    if len(given) > 1:
        raise UsageError(f"{_option(given[0])} and {_option(given[1])} cannot be combined; leave one of them out.")
    return _option(given[0]) if given else None


def plan_options(said: PlanKeywords) -> PlanOptions:
    """Turn the keywords into the options of a plan, and read the files that they name.

    Raises:
        UsageError: A value is wrong, or two keywords contradict each other.
        CheckpointError: The importance matrix is missing or damaged.
    """
    if said.get("keep_split") and said.get("split_max_size") is not None:
        raise UsageError("--keep-split and --split-max-size cannot be combined; leave one of them out.")
    _given(check_name, said.get("pre_tokenizer"))
    file = said.get("calibration")
    calibration = None if file is None else read_calibration(Path(file))
    entries = _entries(said.get("tensor_types") or ())
    method = _method(said, calibration)
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
        budget=_budget(said, calibration, method),
        calibration=calibration,
        method=method,
        files=_files(said, entries),
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


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _budget(said: PlanKeywords, calibration: Calibration | None, method: PlannedMethod | None) -> Budget | None:
    option = budget_of(said)
    if option is None:
        if said.get("types") is not None:
            raise UsageError(f"--types needs a budget to choose within; give {_BUDGET_OPTIONS}.")
        return None
    if said.get("pure"):
        raise UsageError(f"{option} and --pure cannot be combined, because the budget chooses the types.")
    costs = None if calibration is None else {tensor.name: tensor.costs for tensor in calibration.tensors}
    if costs is not None and method is not None:
        costs = {name: costs_with(METHODS[method.name], held) for name, held in costs.items()}
    return Budget(_amount(said), _given(parse_types, said.get("types")), costs)


def _amount(said: PlanKeywords) -> Amount:
    """Return what the file may take; one of the budgets is given."""
    if (size := said.get("target_size")) is not None:
        return TargetSize(f"--target-size {size}", _bytes(size))
    if (bits := said.get("target_bpw")) is not None:
        return TargetBits(f"--target-bpw {bits}", _bits(bits))
    if (like := said.get("like")) is not None:
        return Like(f"--like {like}", find_format(like))
    memory, context = cast("int | str", said.get("memory")), said.get("context")
    if context is not None and context < 1:
        raise UsageError(f"--context takes a number of at least 1, not {context}.")
    return Memory(f"--memory {memory}", parse_memory(memory), context)


def _method(said: PlanKeywords, calibration: Calibration | None) -> PlannedMethod | None:
    """Return the method; None for the reference's own search."""
    name, file = said.get("method"), said.get("calibration")
    if name is None:
        return None
    if name not in METHODS:
        raise UsageError(f"{shown(name)} is not a method; choose one with --method: {', '.join(METHODS)}.")
    if METHODS[name].is_reference:
        return None
    if file is None or calibration is None:
        raise UsageError(
            f"--method {name} needs a calibration of the model; make one with `quantize calibrate`, and give it with "
            "--calibration."
        )
    if not calibration.tokens.size:
        raise UsageError(
            f"{file} is a calibration of an earlier version, and lacks the tokens that --method {name} needs; run "
            "`quantize calibrate` again."
        )
    if said.get("prune_layers"):
        raise UsageError(f"--method {name} and --prune-layers cannot be combined; leave one of them out.")
    like = said.get("like")
    with Path(file).open("rb") as held:
        digest = hashlib.file_digest(held, "sha256").hexdigest()
    return PlannedMethod(name, COMPARED_TEXT, digest, None if like is None else find_format(like).name)


def _bytes(said: int | str) -> int:
    nbytes = KINDS["max_size"].parse(str(said))
    if nbytes is None or nbytes < 1:
        raise UsageError(f"{shown(said)} is not the size of a file; write --target-size as in 5.5G or 900MiB.")
    return int(nbytes)


def _bits(said: float | str) -> float:
    try:
        bits = float(said)
    except ValueError:
        bits = 0.0
    if not 0 < bits <= _MOST_BITS:
        raise UsageError(f"{shown(said)} is not a number of bits for a weight; write --target-bpw as in 3.5.")
    return bits


def _given(parse: Callable[[Said], Value], said: Said | None) -> Value | None:
    """Parse a value unless it is None; an empty text, for example of an unset variable, is a value."""
    return None if said is None else parse(said)


def _importance(said: PlanKeywords) -> tuple[ImportanceMatrix | None, tuple[tuple[str, str], ...]]:
    """Read the importance matrix and select its entries; also return each option and its texts without an entry."""
    include, exclude = _texts(said.get("include_weights")), _texts(said.get("exclude_weights"))
    imatrix = said.get("calibration") if said.get("imatrix") is None else said.get("imatrix")
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


def _files(said: PlanKeywords, entries: Sequence[tuple[str, str] | Path]) -> tuple[Path, ...]:
    """Return the files that the options came from, so that none is overwritten."""
    imatrix = said.get("imatrix")
    measured = (imatrix.file if isinstance(imatrix, ImportanceMatrix) else imatrix, said.get("calibration"))
    return (
        *(Path(file) for file in measured if file is not None),
        *(entry for entry in entries if isinstance(entry, Path)),
    )


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
