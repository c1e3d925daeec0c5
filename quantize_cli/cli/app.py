"""The commands. Everything slow is imported inside them, so that `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from quantize_cli.cli import console, options


class DefaultCommand(TyperGroup):
    """A group whose command `model` need not be named: `quantize PATH` is `quantize model PATH`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Insert the default command where the first word is none."""
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
def model(
    model_: Annotated[str | None, options.MODEL] = None,
    format_: Annotated[str, options.FORMAT] = ...,  # type: ignore[assignment]
    output: Annotated[Path | None, options.OUTPUT] = None,
    report: Annotated[Path | None, options.REPORT] = None,
    revision: Annotated[str | None, options.REVISION] = None,
    pre_tokenizer: Annotated[str | None, options.PRE_TOKENIZER] = None,
    threads: Annotated[int | None, options.THREADS] = None,
    force: Annotated[bool, options.FORCE] = False,
    debug: Annotated[bool, options.DEBUG] = False,
    _version: Annotated[bool, options.VERSION] = False,
) -> None:
    """Turn a Hugging Face safetensors checkpoint into a quantized GGUF file, in one streamed step.

    MODEL is a folder, a .safetensors file or a Hub id (org/name). Without it, the current folder is taken if it is a
    checkpoint, else ./model.
    """
    with console.errors(debug=debug):
        from quantize_cli.convert import Settings, quantize_model
        from quantize_cli.report import check_report_path, write_report

        if report is not None:
            options.check_different(output, report)
            check_report_path(report, force=force)
        settings = Settings(
            revision=revision,
            pre_tokenizer=pre_tokenizer,
            threads=threads,
            force=force,
            progress=console.is_terminal(sys.stderr),
        )
        with console.progress() as observer:
            result = quantize_model(
                model_ or options.default_model(),
                format_,
                options.output_stream(output),
                settings=settings,
                observer=observer,
            )
        if report is not None:
            write_report(result, report)
        console.show(result)


def main() -> None:
    """The `quantize` command."""
    console.stop_on_signals()
    app(prog_name="quantize")
