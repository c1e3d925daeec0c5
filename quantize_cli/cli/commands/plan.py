"""quantize plan: what a run would write and take, without a weight."""

from __future__ import annotations

from typing import Any

import click

from quantize_cli.cli import console, options
from quantize_cli.cli.values import filled

#: Options of `quantize MODEL` that a plan has too: those that decide bytes, and the threads of the run.
_SHARED = (options.PASSED_ON - options.OF_A_RUN) | {
    "debug",
    "formats",
    "tensor_type",
    "tensor_type_file",
    "threads",
    "write_tensor_types",
}


def _plan(
    words: tuple[str, ...],
    formats: tuple[str, ...],
    tensor_type: tuple[str, ...],
    tensor_type_file: str | None,
    *,
    tensors: bool,
    fits: str | None,
    threads: int | None,
    write_tensor_types: str | None,
    json: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
    **passed_on: Any,
) -> None:
    """Show what a run would write and take, from headers alone; no weight is read or downloaded.

    With one format it shows the exact size, each kind of tensor with its type and the reason for it, what fallbacks
    cost, the download, and the memory and disk of the run. With several formats, or without one, it shows a table to
    choose from. MODEL is the same as for quantize MODEL.
    """
    from quantize_cli.cli import plan_view
    from quantize_cli.cli.words import Job, commands_of, understood, with_near_names
    from quantize_cli.mixes.find import find_format

    current = click.get_current_context()
    job = understood(words, Job((), formats, None, threads), commands_of(current))
    for name in job.formats:
        find_format(name)
    passed_on["tensor_types"] = options.tensor_types(current, tensor_type, tensor_type_file)
    from quantize_cli.api import preview

    if write_tensor_types is not None:
        plan_view.check_types(write_tensor_types, len(job.formats))
    for model in job.models or [options.default_model()]:
        with console.progress() as observer, with_near_names(model):
            found = preview(
                model,
                list(job.formats),
                threads=job.threads,
                fits=fits,
                observer=observer,
                **passed_on,
            )
        plan_view.show(found, as_json=json, each_tensor=tensors)
        if write_tensor_types is not None:
            plan_view.write_types(found, write_tensor_types)


COMMAND = click.Command(
    "plan",
    callback=_plan,
    help=_plan.__doc__,
    short_help="Show what a run would write and take.",
    params=[
        click.Argument(("words",), metavar="[MODEL]", nargs=-1, callback=filled),
        click.Option(("--tensors",), is_flag=True, help="Show every tensor, not every kind of tensor."),
        options.FITS,
        options.AS_JSON,
        *(option for option in options.ALL if option.name in _SHARED),
    ],
)
