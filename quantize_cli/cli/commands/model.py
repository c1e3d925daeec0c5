"""quantize MODEL: the main job, which is the default command."""

from __future__ import annotations

from typing import Any

import click

from quantize_cli.cli import console, options
from quantize_cli.cli.help import ModelCommand
from quantize_cli.cli.values import filled


def _model(
    words: tuple[str, ...],
    formats: tuple[str, ...],
    output: str | None,
    tensor_type: tuple[str, ...],
    tensor_type_file: str | None,
    *,
    dry_run: bool,
    threads: int | None,
    debug: bool,  # noqa: ARG001  `main` looks at it
    **passed_on: Any,
) -> None:
    """Convert a safetensors checkpoint, or a GGUF file, to quantized GGUF files.

    MODEL is a folder, a .safetensors or .gguf file, or a Hub id (org/name). Without MODEL, the command takes the
    current folder if it is a checkpoint, and ./model if it is not.
    """
    from quantize_cli.cli import plan_view
    from quantize_cli.cli.words import Job, commands_of, understood, with_near_names, without_format
    from quantize_cli.mixes.find import find_format

    context = click.get_current_context()
    job = understood(words, Job(None, formats, output, threads), commands_of(context))
    for name in job.formats:
        find_format(name)
    if not job.formats and not dry_run:
        plan_view.advise(job.model, passed_on)
        raise without_format()
    model = job.model or options.default_model()
    passed_on["tensor_types"] = options.tensor_types(context, tensor_type, tensor_type_file)
    if dry_run:
        plan_view.dry_run(model, job, passed_on)
        return
    stream = options.output_stream(job.output)
    from quantize_cli.api import quantize

    with console.progress() as observer, with_near_names(model):
        reports = quantize(model, job.formats, stream, observer=observer, threads=job.threads, **passed_on)
    console.show(reports)


COMMAND = ModelCommand(
    "model",
    callback=_model,
    help=_model.__doc__,
    short_help="Quantize MODEL, which is what a call without a command does.",
    params=[click.Argument(("words",), metavar="MODEL", nargs=-1, callback=filled), *options.ALL],
)
