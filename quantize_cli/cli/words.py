"""The words of a command line that are not options: MODEL, and what people of other programs write after it.

llama-quantize takes `MODEL [OUTPUT] FORMAT [THREADS]`. That order is understood where no --format is given. Several
models can stand behind each other; `-` reads them from standard input.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePath

import click

from quantize_cli.cli.values import count_of_threads, expanded
from quantize_cli.errors import CheckpointError, UsageError

#: What a MODEL can be.
_MODELS = "give a folder, a .safetensors or .gguf file, or a Hub id (org/name)"

#: Commands of other programs -> what to do here.
_OTHER_COMMANDS = {
    "help": "`quantize --help` shows the options",
    "version": "`quantize --version` shows the version",
    "list": "`quantize formats` lists the formats",
    "types": "`quantize formats` lists the formats",
    "models": "`quantize architectures` lists the models that convert",
    "info": "`quantize inspect MODEL` shows what is known of a model",
    "show": "`quantize inspect MODEL` shows what is known of a model",
    "convert": "leave it out: quantize MODEL --format q4_k_m",
    "quantize": "leave it out: quantize MODEL --format q4_k_m",
    "run": "leave it out: quantize MODEL --format q4_k_m",
}

#: The word that reads the models' names from standard input.
LISTED = "-"
#: The most bytes of such a list.
_MAX_LIST_BYTES = 1 << 20

#: An address that looks like a model's on the Hub; the library tells whether it is one.
_HUB_ID = re.compile(r"(?:https?://)?\w[\w.-]*/[\w./@-]*[\w@-]", re.ASCII)

#: The most names of a folder that are looked at.
_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Job:
    """What a command line asks for."""

    models: tuple[str, ...]  #: empty for the default
    formats: tuple[str, ...]  #: as the user spells them
    output: str | None
    threads: int | None


def commands_of(context: click.Context) -> Collection[str]:
    """Return the names of all commands beside the one that `context` is of."""
    group = context.parent.command if context.parent is not None else None
    return group.commands if isinstance(group, click.Group) else ()


def understood(words: Sequence[str], job: Job, commands: Collection[str]) -> Job:
    """Return the job with what the words add to its options.

    Args:
        words: Those that are not options.
        job: What the options tell; its model is not known yet.
        commands: Names of the commands.

    Raises:
        UsageError: The words do not make sense.
        CheckpointError: The model can only be a local path, and does not exist.
    """
    names = tuple(name for text in job.formats for name in text.split(",") if name.strip()) or job.formats
    job = replace(job, formats=tuple(name.strip() for name in names))
    if not job.formats:
        words, job = _as_llama_quantize(words, job)
    if [*words] == [LISTED]:
        words = listed_models()
    elif words:
        _check_model(words, commands)
        _check_rest(words, job)
    return replace(job, models=tuple(map(expanded, words)))


def listed_models() -> list[str]:
    """Read the models' names from standard input, one a line.

    Raises:
        UsageError: Standard input is a terminal, or is not a list of names.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- reads models from standard input, one a line, and nothing is piped into it; name a model.")
    text = sys.stdin.buffer.read(_MAX_LIST_BYTES + 1)
    if len(text) > _MAX_LIST_BYTES or b"\0" in text:
        raise UsageError(
            f"Standard input is not a list of models (at most {_MAX_LIST_BYTES:,} bytes of text); pipe their names, "
            "one a line, and the model itself not at all."
        )
    models = [name for line in os.fsdecode(text).splitlines() if (name := line.strip())]
    if not models:
        raise UsageError("Standard input does not name any model; pipe the models' names, one a line.")
    return models


def without_format() -> UsageError:
    """Return the error of a run without a format."""
    return UsageError("No format is given; add one, for example --format q4_k_m (`quantize formats` lists all).")


def only_model(words: Sequence[str], commands: Collection[str]) -> str | None:
    """Return the model of a command that takes nothing else; None is the default.

    Raises:
        UsageError: There are more words, or the word does not make sense.
        CheckpointError: The model can only be a local path, and does not exist.
    """
    if not words:
        return None
    if words[0] == LISTED:
        raise UsageError(f"A model cannot be read from standard input; {_MODELS}.")
    _check_model(words, commands)
    if len(words) > 1:
        raise UsageError(f"{words[1]} is one word too many; give one model, and quote a path that has spaces.")
    return expanded(words[0])


def several_models(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return the models of a command that takes several and nothing else.

    Raises:
        UsageError: A word does not make sense.
        CheckpointError: A model can only be a local path, and does not exist.
    """
    if [*words] == [LISTED]:
        words = listed_models()
    for word in words:
        _check_model([word], commands)
    return [*map(expanded, words)]


def _as_llama_quantize(words: Sequence[str], job: Job) -> tuple[Sequence[str], Job]:
    """Take formats, threads and the output from the words; return the others with the job."""
    rest = list(words)
    threads = job.threads
    if len(rest) > 1 and _is_format(rest[-2]) and rest[-1].isdecimal() and threads is None:
        threads = count_of_threads(rest.pop())
    formats: list[str] = []
    while rest and _is_format(rest[-1]) and (len(rest) > 1 or not os.path.lexists(rest[0])):
        formats.insert(0, rest.pop())
    if not formats and len(rest) > 1 and _is_format(rest[0]) and not os.path.lexists(rest[0]):
        formats = [rest.pop(0)]
    if not formats:
        return words, job
    output = job.output
    if len(rest) == 2 and output is None and (rest[1] == "-" or _is_gguf(rest[1])):
        output = expanded(rest.pop())
    return rest, replace(job, formats=tuple(formats), output=output, threads=threads)


def _is_gguf(word: str) -> bool:
    return word.lower().endswith(".gguf") and not word.startswith("-")


def _is_format(word: str) -> bool:
    from quantize_cli.mixes.tables import ALIASES, FORMATS

    return word.upper() in FORMATS or word.upper() in ALIASES


def _check_model(words: Sequence[str], commands: Collection[str]) -> None:
    """Refuse a first word that can only be a mistake; what may be an address of the Hub is not one."""
    word, whole = words[0], " ".join(words)
    if os.path.lexists(expanded(word)) or ("/" in word and not word.startswith(("/", "./", "../", "~"))):
        return
    if word == LISTED:
        raise UsageError("- reads all models from standard input; leave it out, or the other words.")
    if word.strip("<>{}[]$").upper() == "MODEL":
        raise UsageError(f"{word} stands for a model; {_MODELS}.")
    if word in commands:
        raise UsageError(f"The command comes first: quantize {word}.")
    if word in _OTHER_COMMANDS:
        raise UsageError(f"{word} is not a command; {_OTHER_COMMANDS[word]}.")
    if len(words) > 1 and os.path.lexists(whole):
        raise UsageError(f"{whole} has spaces in its name; put the path in quotes.")
    if _is_format(word):
        raise UsageError(f"{word} is a format, and the model is missing; {_MODELS}.")
    from quantize_cli.mixes.other_names import means_format, unknown_format

    plain = not set(word) & set("/.\\")
    if plain and means_format(word):
        raise UsageError(unknown_format(word))
    near = _nearest(word, commands if plain else ())
    if near is not None and near in commands:
        raise UsageError(f"{word} is not a command; the nearest is `quantize {near}`.")
    either = f", and it is not a command ({', '.join(sorted(commands))}) either" if plain and near is None else ""
    raise CheckpointError(f"{word} does not exist{either}; {f'the nearest name is {near}' if near else _MODELS}.")


def _nearest(word: str, commands: Collection[str] = ()) -> str | None:
    """Find the command, or the name in the folder that the path points to, that is spelled most like the word."""
    folder, name = os.path.split(word.rstrip("/"))
    try:
        with os.scandir(folder or ".") as entries:
            found = [entry.name for entry in islice(entries, _ENTRIES) if not entry.name.startswith(".")]
    except (OSError, ValueError):
        found = []
    names = {entry.lower(): str(PurePath(folder, entry)) for entry in found}
    names |= {command: command for command in commands}
    return next((names[match] for match in get_close_matches(name.lower(), names, n=1, cutoff=0.75)), None)


@contextmanager
def with_near_names(model: str | Path) -> Iterator[None]:
    """Complete the error for a model that is not found, such as a path that looks like a Hub id, by a near name.

    Raises:
        CheckpointError: That of the library, with the near name.
    """
    try:
        yield
    except CheckpointError as error:
        of_model = str(error).startswith(str(model).rstrip("/")) and not os.path.lexists(model)
        near = _nearest(str(model)) if of_model else None
        if near is None:
            raise
        raise CheckpointError(f"{str(error).removesuffix('.')}; the nearest name here is {near}.") from error


def _check_rest(words: Sequence[str], job: Job) -> None:
    """Refuse words after the first model that are not models: a path that exists, or what may be a Hub id, is one."""
    if len(words) < 2:
        return
    if not job.formats:
        last = words[-1]
        if not (os.path.lexists(last) or _is_gguf(last)):
            from quantize_cli.mixes.other_names import unknown_format

            before = words[-2]  # llama-quantize's number of a format; then `last` is a number of threads
            raise UsageError(unknown_format(before if len(words) > 2 and before.isdecimal() else last))
        return
    for word in words[1:]:
        if not _may_be_model(word):
            raise UsageError(_one_too_many(word, job))


def _may_be_model(word: str) -> bool:
    return os.path.lexists(expanded(word)) or (_HUB_ID.fullmatch(word) is not None and not _is_gguf(word))


def _one_too_many(word: str, job: Job) -> str:
    if word == LISTED:
        return "- reads all models from standard input; leave it out, or the other words."
    if word.startswith("-"):
        return f"{word} comes after --, and options come before it."
    if _is_gguf(word) and job.output is not None:
        return f"Two outputs are given, {word} and {job.output}; leave one of them out."
    if _is_gguf(word) or word.endswith("/"):
        return f"{word} is one word too many; write the output as -o {word}."
    near = None if _is_format(word) else _nearest(word)
    if near is not None:
        return f"{word} does not exist; the nearest name is {near}."
    return (
        f"{word} is one word too many; write the output after -o and each format after -f, and quote a path that has "
        "spaces."
    )
