"""What is to be made of one model or of several, also as a file: quantize.toml.

The file's keys are the library's keywords with hyphens. A key of a model comes before the same key of the whole file.
"""

from __future__ import annotations

import builtins
import collections.abc
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from quantize_cli.errors import UsageError, shown
from quantize_cli.gates.kinds import KINDS
from quantize_cli.keywords import BUDGETS, Keywords, PlanKeywords, budget_of

#: A larger file is not a list of tasks.
MAX_FILE_BYTES = 1 << 20
#: Keys of a file beside the keywords.
_MODELS, _MODEL, _FORMATS, _OUTPUT, _GATES = "models", "model", "formats", "output", "gates"
#: Keywords that stand under [gates].
_OF_GATES = {*KINDS, "keep_failed"}


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be made of one model: the arguments of `quantize_cli.quantize`."""

    model: str | Path
    formats: tuple[str, ...]
    output: str | None  #: "-" is standard output; None is the current folder
    options: Mapping[str, Any]  #: keywords of the library


def tasks_of(
    models: Sequence[str | Path], formats: Sequence[str], output: str | None, options: Mapping[str, Any]
) -> list[Task]:
    """Make a task for each model; the output of several is a folder.

    Raises:
        UsageError: The output cannot be a folder.
    """
    return [Task(model, tuple(formats), _place(output, len(models)), options) for model in models]


def read_tasks(path: Path) -> list[Task]:
    """Read a file of tasks; paths in it are relative to its folder.

    Raises:
        UsageError: The file cannot be read, is not TOML, or has a key or a value that does not mean anything.
    """
    tables = _parsed(path)
    models = tables.pop(_MODELS, None)
    if not isinstance(models, list) or not models:
        raise UsageError(f'{path} does not list its models; write models = ["org/name"].')
    usual = _settings(tables, path, path.name)
    tasks = []
    for number, entry in enumerate(models, 1):
        where = f"{_MODELS}, entry {number}"
        own = {_MODEL: entry} if isinstance(entry, str) else entry
        if not isinstance(own, dict) or not isinstance(model := own.pop(_MODEL, None), str) or not model:
            raise UsageError(f'{path}, {where}, does not name a model; write "org/name" or {{ model = "org/name" }}.')
        settings = _merged(usual, _settings(own, path, where))
        formats = settings.pop(_FORMATS, ())
        if not formats and budget_of(cast("PlanKeywords", settings)) is None:
            raise UsageError(f'{path} gives no format for {shown(model)}; write formats = ["q4_k_m"].')
        output = settings.pop(_OUTPUT, None)
        if output is not None and _OUTPUT not in own:
            output = _place(output, len(models))
        tasks.append(Task(_found(model, path.parent), tuple(formats), output, settings))
    return tasks


def _merged(usual: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Put a model's settings over the usual ones; formats and budgets take each other's place."""
    sizes = {_FORMATS, *BUDGETS}
    if sizes & own.keys():
        usual = {name: value for name, value in usual.items() if name not in sizes}
    return usual | own


def _place(output: str | None, models: int) -> str | None:
    """Return the output, which is a folder for several models."""
    if models == 1 or output is None:
        return output
    if output == "-":
        raise UsageError("One stream cannot hold several models; name a folder with -o.")
    if output.lower().endswith(".gguf") and not Path(output).is_dir():
        raise UsageError(f"{output} is a file, and there are {models} models; name a folder with -o.")
    return os.path.join(output, "")  # noqa: PTH118  Path would drop the separator that makes it a folder


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); choose another file with --config.") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes; choose another file with --config.")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # of the decoder, and of TOML
        raise UsageError(f"{path} is not TOML ({error}); correct it.") from None


def _settings(table: Mapping[str, Any], path: Path, where: str) -> dict[str, Any]:
    """Check a table, and return its formats, its output and its keywords."""
    hints = get_type_hints(Keywords)
    settings: dict[str, Any] = {}
    for key, value in _flat(table, path, where):
        keyword = key.replace("-", "_")
        if keyword == _FORMATS:
            settings[_FORMATS] = _formats(value, path, where)
        elif keyword == _OUTPUT or Path in get_args(hints[keyword]):
            several = isinstance(value, list) and keyword != _OUTPUT and _fits(value, hints[keyword])
            names = value if several else [value]
            if not all(isinstance(name, str) and name for name in names) or value == "-":
                raise UsageError(f"{path}, {where}: {key} takes a path, not {shown(value)}.")
            paths = [_joined(path.parent, name) for name in names]
            settings[keyword] = paths if several else paths[0]
        elif not _fits(value, hints[keyword]):
            raise UsageError(f"{path}, {where}: {key} does not take {shown(value)}; docs/cli.md has an example.")
        else:
            settings[keyword] = value
    return settings


def _flat(table: Mapping[str, Any], path: Path, where: str) -> Iterable[tuple[str, Any]]:
    """Yield the known keys, those of [gates] too.

    Raises:
        UsageError: A key is unknown.
    """
    keywords = {keyword.replace("_", "-") for keyword in Keywords.__optional_keys__ - _OF_GATES}
    gates = {keyword.replace("_", "-") for keyword in _OF_GATES}
    for key, value in table.items():
        if key == _GATES and isinstance(value, dict):
            for gate, limit in value.items():
                _check_key(gate, gates, path, f"[{_GATES}]")
                yield gate, limit
        else:
            _check_key(key, keywords | {_FORMATS, _OUTPUT, _GATES}, path, where)
            if key == _GATES:
                raise UsageError(
                    f"{path}, {where}: {_GATES} is a table; write [{_GATES}] and max-rmse = 0.08 below it."
                )
            yield key, value


def _check_key(key: str, known: set[str], path: Path, where: str) -> None:
    if key not in known:
        near = get_close_matches(key.lower().replace("_", "-"), sorted(known), n=1, cutoff=0.6)
        advice = f"the nearest is {near[0]}" if near else f"known are {', '.join(sorted(known))}"
        raise UsageError(f"{path}, {where}: {shown(key)} is not a key; {advice}.")


def _formats(value: object, path: Path, where: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}, {where}: formats takes a list of names, not {shown(value)}.")
    return names


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a value of TOML is of the kind that a keyword has; the library looks at what it says."""
    match get_origin(hint) or hint:
        case types.UnionType | typing.Union:
            return any(_fits(value, kind) for kind in get_args(hint))
        case collections.abc.Mapping:
            return isinstance(value, dict) and all(_fits(held, get_args(hint)[1]) for held in value.values())
        case collections.abc.Iterable:
            return isinstance(value, list) and all(_fits(held, get_args(hint)[0]) for held in value)
        case builtins.float:
            return type(value) in (int, float)
        case builtins.bool | builtins.int | builtins.str as kind:
            return type(value) is kind
    return False


def _joined(folder: Path, name: str) -> str:
    """Return a path that is relative to the file's folder; a separator at its end stays."""
    return os.path.join(folder, os.path.expanduser(name))  # noqa: PTH111, PTH118  Path would drop the separator


def _found(model: str, folder: Path) -> str | Path:
    """Return the path of a model in the file's folder; what is not there may be an address of the Hub."""
    path = folder / Path(model).expanduser()
    return path if os.path.lexists(path) else model
