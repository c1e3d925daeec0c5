"""The commands. Everything slow is imported inside them, so that `--help` and refusals answer at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from quantize_cli.cli import console, options
from quantize_cli.cli.failures import ending
from quantize_cli.cli.help import Commands, ModelCommand
from quantize_cli.cli.mistakes import check_arguments
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
    from quantize_cli.cli.words import Job, understood, with_near_names
    from quantize_cli.mixes.find import find_format

    context = click.get_current_context()
    job = understood(words, Job(None, formats, output, threads), GROUP.commands)
    for name in job.formats:
        find_format(name)
    model = job.model or options.default_model()
    passed_on["tensor_types"] = options.tensor_types(context, tensor_type, tensor_type_file)
    if dry_run:
        from quantize_cli.cli import dry_run as shown

        with with_near_names(model):
            shown.show(model, job.formats, passed_on)
        return
    stream = options.output_stream(job.output)
    from quantize_cli.api import quantize

    with console.progress() as observer, with_near_names(model):
        reports = quantize(model, job.formats, stream, observer=observer, threads=job.threads, **passed_on)
    console.show(reports)


def _formats(parts: tuple[str, ...], json: bool, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """List the formats: how large each is, whether it needs an importance matrix, and what it is good for.

    With PART, it lists the formats with PART in their names, for example q4.
    """
    from quantize_cli.cli import listing
    from quantize_cli.mixes.catalogue import catalogue

    listing.show(listing.having(parts, catalogue()), as_json=json)


def _architectures(json: bool, debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """List the models that convert: their classes in config.json, and their architectures in GGUF."""
    from quantize_cli.architectures.catalogue import catalogue
    from quantize_cli.cli import architectures

    architectures.show(catalogue(), as_json=json)


def _inspect(
    words: tuple[str, ...],
    revision: str | None,
    pre_tokenizer: str | None,
    json: bool,
    debug: bool,  # noqa: ARG001
) -> None:
    """Show what is known of a model from headers alone; no weight is read or downloaded.

    It shows the architecture, parameters, tokenizer, context and quantization of MODEL, and the size of its file in
    every format. MODEL is the same as for quantize MODEL. A model that cannot be converted is shown as far as it is
    known; then the reason follows, and the exit code is 1.
    """
    from quantize_cli.api import inspect
    from quantize_cli.cli import inspection
    from quantize_cli.cli.words import only_model, with_near_names

    model = only_model(words, GROUP.commands) or options.default_model()
    with with_near_names(model):
        found = inspect(model, revision=revision, pre_tokenizer=pre_tokenizer)
    inspection.show(found, as_json=json)
    if found.refusal is not None:
        raise found.refusal


def _warm(formats: tuple[str, ...], debug: bool) -> None:  # noqa: ARG001  `main` looks at `debug`
    """Compile the kernels of these formats, or of all formats, so that no later run has to.

    Use it when you build a container image, for example. The compiled code is kept in your cache folder, or in
    NUMBA_CACHE_DIR.
    """
    from quantize_cli.mixes.find import find_format
    from quantize_cli.mixes.tables import FORMATS

    names = [find_format(name).name for name in formats] or list(FORMATS)
    from quantize_cli.run.compiling import warm as compile_kernels

    with console.progress() as observer:
        compile_kernels(names, observer)


GROUP = Commands(
    "quantize",
    commands=[
        ModelCommand(
            "model",
            callback=_model,
            help=_model.__doc__,
            short_help="Quantize MODEL, which is what a call without a command does.",
            params=[click.Argument(("words",), metavar="MODEL", nargs=-1, callback=filled), *options.ALL],
        ),
        click.Command(
            "inspect",
            callback=_inspect,
            help=_inspect.__doc__,
            short_help="Show a model, and its size in every format.",
            params=[
                click.Argument(("words",), metavar="[MODEL]", nargs=-1, callback=filled),
                options.REVISION,
                options.PRE_TOKENIZER,
                options.AS_JSON,
                options.DEBUG,
            ],
        ),
        click.Command(
            "architectures",
            callback=_architectures,
            help=_architectures.__doc__,
            short_help="List the models that convert.",
            params=[options.AS_JSON, options.DEBUG],
        ),
        click.Command(
            "formats",
            callback=_formats,
            help=_formats.__doc__,
            short_help="List the formats, and what each is good for.",
            params=[
                click.Argument(("parts",), metavar="[PART]...", nargs=-1, callback=filled),
                options.AS_JSON,
                options.DEBUG,
            ],
        ),
        click.Command(
            "warm",
            callback=_warm,
            help=_warm.__doc__,
            short_help="Compile kernels ahead of the first run.",
            params=[click.Argument(("formats",), metavar="[FORMAT]...", nargs=-1, callback=filled), options.DEBUG],
        ),
    ],
    context_settings={"help_option_names": ["--help", "-h"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `quantize` command with `arguments`, by default those of the process, and return its exit code.

    Whatever ends the command is one sentence on standard error. With `--debug` a traceback stands above the sentence.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(list(arguments))
    except BaseException as error:  # noqa: BLE001  the one place that turns whatever escapes into a sentence
        end = ending(error)
        if end.sentence is not None:
            console.fail(end.sentence, error if "--debug" in arguments else None)
        console.settle()
        return end.code


def _run(arguments: list[str]) -> int:
    check_arguments(arguments)
    code = 0
    try:
        with GROUP.make_context("quantize", arguments) as context:
            GROUP.invoke(context)
    except click.exceptions.Exit as end:  # --help and --version
        code = end.exit_code
    console.flush()
    return code
