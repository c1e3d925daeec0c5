"""quantize MODEL: the main job, which is the default command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from quantize_cli.cli import completing, options
from quantize_cli.cli.help import ModelCommand
from quantize_cli.cli.values import count_of_threads, filled
from quantize_cli.errors import QuantizeError, UsageError, printable

if TYPE_CHECKING:
    from quantize_cli.tasks import Task


def _model(
    words: tuple[str, ...],
    *,
    dry_run: bool,
    json: bool,
    quiet: bool,
    checksums: str | None,
    modelfile: bool,
    debug: bool,
    **asked: Any,
) -> None:
    """Convert a safetensors checkpoint, or a GGUF file, to quantized GGUF files.

    MODEL is a folder, a .safetensors or .gguf file, or a Hub id (org/name). Without MODEL, the command takes the
    current folder if it is a checkpoint, and ./model if it is not. Several models are done one after another; -
    reads them from standard input, one a line.
    """
    from quantize_cli.cli import several

    context = click.get_current_context()
    config = asked.pop("config")
    asked["dry_run"] = dry_run
    tasks = _listed(context, words, asked) if config is None else _configured(context, words, Path(config), asked)
    if dry_run:
        _show(tasks, as_json=json)
        return
    if any(task.output == "-" for task in tasks) and (json or modelfile):
        raise UsageError("Standard output takes the model; leave --json and --modelfile out, or name a file with -o.")
    after = several.After(json, quiet, None if checksums is None else Path(checksums), modelfile)
    context.exit(several.run(tasks, after, debug=debug))


def _listed(context: click.Context, words: Sequence[str], asked: dict[str, Any]) -> list[Task]:
    """Make a task for each model that the words name, or for the default one; a dry run may lack formats."""
    from quantize_cli.cli.words import Job, commands_of, understood, without_format

    job = understood(words, Job((), asked["formats"], asked["output"], asked["threads"]), commands_of(context))
    _check_formats(job.formats)
    budget = any(asked[name] is not None for name in options.BUDGETS)
    if not job.formats and not budget and not asked["dry_run"]:
        _advise(next(iter(job.models), None), asked["revision"], asked["pre_tokenizer"])
        raise without_format()
    keywords = {**_keywords(context, asked), "threads": job.threads}
    models = job.models or [options.default_model()]
    from quantize_cli.tasks import tasks_of

    return tasks_of(models, job.formats, job.output, keywords)


def _configured(context: click.Context, words: Sequence[str], file: Path, asked: dict[str, Any]) -> list[Task]:
    """Read the tasks of a file; what the command line gives itself comes before what the file says."""
    from quantize_cli.cli.words import Job, commands_of, understood
    from quantize_cli.tasks import read_tasks, tasks_of

    if words:
        raise UsageError(f"{file} names the models; leave {words[0]} out, or --config.")
    given = {name for name in asked if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    own = {name: value for name, value in _keywords(context, asked).items() if name in given}
    if {"tensor_type", "tensor_type_file"} & given:
        own["tensor_types"] = _keywords(context, asked)["tensor_types"]
    tasks = read_tasks(file)
    if {"formats", *options.BUDGETS} & given:
        tasks = [replace(task, formats=(), options=_without_budget(task.options)) for task in tasks]
    tasks = [replace(task, options={**task.options, **own}) for task in tasks]
    for count in [task.options["threads"] for task in tasks if task.options.get("threads") is not None]:
        count_of_threads(str(count))
    if "formats" in given:
        formats = understood([], Job((), asked["formats"], None, None), commands_of(context)).formats
        tasks = [replace(task, formats=formats) for task in tasks]
    for task in tasks:
        _check_formats(task.formats)
    if "output" in given:
        (place,) = {task.output for task in tasks_of([task.model for task in tasks], [], asked["output"], {})}
        tasks = [replace(task, output=place) for task in tasks]
    return tasks


def _without_budget(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in held.items() if name not in options.BUDGETS}


def _check_formats(names: Sequence[str]) -> None:
    """Refuse unknown formats before anything slow is imported."""
    from quantize_cli.mixes.find import find_format

    for name in names:
        find_format(name)


def _keywords(context: click.Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of the library among the options."""
    keywords = {name: value for name, value in asked.items() if name in options.PASSED_ON}
    keywords["tensor_types"] = options.tensor_types(context, asked["tensor_type"], asked["tensor_type_file"])
    return keywords


def _show(tasks: Sequence[Task], *, as_json: bool) -> None:
    """Show what the tasks would write."""
    from quantize_cli.cli import plan_view
    from quantize_cli.cli.words import Job

    if as_json:
        raise UsageError("--json prints reports of runs; `quantize plan MODEL --json` prints what a run would write.")
    for task in tasks:
        job = Job((), task.formats, task.output, task.options.get("threads"))
        plan_view.dry_run(task.model, job, {"report": None, **task.options})


def _advise(model: str | None, revision: str | None, pre_tokenizer: str | None) -> None:
    """Show on standard error what there is to choose from; nothing if that is not known."""
    with suppress(QuantizeError):
        named = model or options.default_model()
        if Path(named).is_dir() and not Path(named, "config.json").is_file():
            return  # without the second that it takes to import the library
        from quantize_cli.api import preview
        from quantize_cli.cli import plan_view

        found = preview(named, revision=revision, pre_tokenizer=pre_tokenizer)
        click.echo("\n".join([*map(printable, plan_view.lines(found)), ""]), err=True)


COMMAND = ModelCommand(
    "model",
    callback=_model,
    help=_model.__doc__,
    short_help="Quantize MODEL, which is what a call without a command does.",
    params=[
        click.Argument(("words",), metavar="MODEL", nargs=-1, callback=filled, shell_complete=completing.models),
        *options.ALL,
    ],
)
