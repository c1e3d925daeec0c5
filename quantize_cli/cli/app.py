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
    context: typer.Context,
    model_: Annotated[str | None, options.MODEL] = None,
    format_: Annotated[list[str], options.FORMAT] = ...,  # type: ignore[assignment]
    output: Annotated[Path | None, options.OUTPUT] = None,
    report: Annotated[Path | None, options.REPORT] = None,
    imatrix: Annotated[str | None, options.IMATRIX] = None,
    include_weights: Annotated[list[str] | None, options.INCLUDE_WEIGHTS] = None,
    exclude_weights: Annotated[list[str] | None, options.EXCLUDE_WEIGHTS] = None,
    tensor_type: Annotated[list[str] | None, options.TENSOR_TYPE] = None,
    tensor_type_file: Annotated[Path | None, options.TENSOR_TYPE_FILE] = None,
    output_tensor_type: Annotated[str | None, options.OUTPUT_TENSOR_TYPE] = None,
    token_embedding_type: Annotated[str | None, options.TOKEN_EMBEDDING_TYPE] = None,
    pure: Annotated[bool, options.PURE] = False,
    leave_output_tensor: Annotated[bool, options.LEAVE_OUTPUT_TENSOR] = False,
    allow_requantize: Annotated[bool, options.ALLOW_REQUANTIZE] = False,
    no_fallback: Annotated[bool, options.NO_FALLBACK] = False,
    prune_layers: Annotated[str | None, options.PRUNE_LAYERS] = None,
    override_kv: Annotated[list[str] | None, options.OVERRIDE_KV] = None,
    keep_split: Annotated[bool, options.KEEP_SPLIT] = False,
    split_max_size: Annotated[str | None, options.SPLIT_MAX_SIZE] = None,
    revision: Annotated[str | None, options.REVISION] = None,
    pre_tokenizer: Annotated[str | None, options.PRE_TOKENIZER] = None,
    threads: Annotated[int | None, options.THREADS] = None,
    force: Annotated[bool, options.FORCE] = False,
    debug: Annotated[bool, options.DEBUG] = False,
    _version: Annotated[bool, options.VERSION] = False,
) -> None:
    """Turn a safetensors checkpoint or a GGUF file into quantized GGUF files, in one streamed step.

    MODEL is a folder, a .safetensors or .gguf file, or a Hub id (org/name). Without it, the current folder is taken if
    it is a checkpoint, else ./model.
    """
    with console.errors(debug=debug):
        from quantize_cli.api import Settings, quantize_ladder
        from quantize_cli.report.write import check_report_path, write_report

        if report is not None:
            options.check_different(output, report)
            check_report_path(report, force=force)
        said = options.PlanArguments(
            imatrix=imatrix,
            include_weights=include_weights or [],
            exclude_weights=exclude_weights or [],
            tensor_type=tensor_type or [],
            tensor_type_file=tensor_type_file,
            file_first=options.given_first(context, "tensor_type_file", "tensor_type"),
            output_tensor_type=output_tensor_type,
            token_embedding_type=token_embedding_type,
            pure=pure,
            leave_output_tensor=leave_output_tensor,
            allow_requantize=allow_requantize,
            no_fallback=no_fallback,
            prune_layers=prune_layers,
            override_kv=override_kv or [],
            keep_split=keep_split,
            split_max_size=split_max_size,
        )
        settings = Settings(
            revision=revision,
            pre_tokenizer=pre_tokenizer,
            threads=threads,
            force=force,
            progress=console.is_terminal(sys.stderr),
            options=options.plan_options(said),
        )
        with console.progress() as observer:
            results = quantize_ladder(
                model_ or options.default_model(),
                format_,
                options.output_stream(output),
                settings=settings,
                observer=observer,
            )
        if report is not None:
            write_report(results, report)
        console.show(results)


@app.command("formats")
def formats(json: Annotated[bool, options.JSON] = False) -> None:
    """List the formats: their size, what they are made of, and what each is good for."""
    from quantize_cli.cli import listing
    from quantize_cli.mixes.catalogue import catalogue

    listing.show(catalogue(), as_json=json)


@app.command("warm")
def warm(
    formats_: Annotated[list[str] | None, options.WARM] = None,
    debug: Annotated[bool, options.DEBUG] = False,
) -> None:
    """Compile what conversions to these formats need, so that no later run has to; default: all formats.

    For the build of a container's image, say. The compiled code is kept in the user's cache folder, or in
    NUMBA_CACHE_DIR.
    """
    with console.errors(debug=debug):
        from quantize_cli.mixes.tables import FORMATS
        from quantize_cli.run.warm import warm as compile_kernels

        for name in compile_kernels(formats_ or list(FORMATS)):
            typer.echo(name, err=True)


def main() -> None:
    """The `quantize` command."""
    console.stop_on_signals()
    app(prog_name="quantize")
