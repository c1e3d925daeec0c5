"""The commands. Everything slow is imported inside them, so that `--help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Unpack

import typer
from typer.core import TyperGroup

from quantize_cli.cli import console, options
from quantize_cli.errors import QuantizeError


class DefaultCommand(TyperGroup):
    """A group with a default command: `quantize PATH` means `quantize model PATH`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Insert the default command if the first word is not a command."""
        if not args:
            args = ["--help"]
        if args[0] not in self.commands:
            args = ["model", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=DefaultCommand, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Quantize models."""


@app.command("model", epilog=options.EXAMPLES)
@options.passing_on
def model(
    context: typer.Context,
    model_: options.Model = None,
    format_: options.Formats = ...,  # type: ignore[assignment]
    output: options.Output = None,
    tensor_type: options.TensorType = None,
    tensor_type_file: options.TensorTypeFile = None,
    *,
    _debug: options.Debug = False,
    _version: options.Version = False,
    **passed_on: Unpack[options.PassedOn],
) -> None:
    """Convert a safetensors checkpoint, or a GGUF file, to quantized GGUF files.

    MODEL is a folder, a .safetensors or .gguf file, or a Hub id (org/name). Without MODEL, the command takes the
    current folder if it is a checkpoint, and ./model if it is not.
    """
    from quantize_cli.api import quantize

    with console.progress() as observer:
        reports = quantize(
            model_ or options.default_model(),
            format_,
            options.output_stream(output),
            observer=observer,
            tensor_types=options.tensor_types(context, tensor_type, tensor_type_file),
            **passed_on,
        )
    console.show(reports)


@app.command("formats")
def formats(json: options.AsJson = False) -> None:
    """List the formats: how large each is, whether it needs an importance matrix, and what it is good for."""
    from quantize_cli.cli import listing
    from quantize_cli.mixes.catalogue import catalogue

    listing.show(catalogue(), as_json=json)


@app.command("warm")
def warm(formats_: options.ToWarm = None, _debug: options.Debug = False) -> None:
    """Compile the kernels of these formats, or of all formats, so that no later run has to.

    Use it when you build a container image, for example. The compiled code is kept in your cache folder, or in
    NUMBA_CACHE_DIR.
    """
    from quantize_cli.mixes.tables import FORMATS
    from quantize_cli.run.compiling import warm as compile_kernels

    with console.progress() as observer:
        compile_kernels(formats_ or list(FORMATS), observer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `quantize` command with `arguments`, by default those of the process, and return its exit code.

    It shows a deliberate error of the library, or an interrupt, as one sentence on standard error. With `--debug` it
    shows a traceback above the sentence.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    console.stop_on_signals()
    try:
        app(args=list(arguments), prog_name="quantize")
    except QuantizeError as error:
        console.fail(str(error), error if "--debug" in arguments else None)
        return error.exit_code
    except SystemExit as end:  # how Typer ends, with its own code for an interrupt
        if end.code == console.INTERRUPTED:
            console.fail("Interrupted; no unfinished file is left behind.", end if "--debug" in arguments else None)
        return int(end.code or 0)
    return 0
