"""quantize calibrate: what is worth knowing of a model before it is quantized, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quantize_cli.cli import completing, console, measuring, options
from quantize_cli.cli.values import filled
from quantize_cli.errors import UsageError


def _calibrate(
    words: tuple[str, ...],
    output: str | None,
    text: tuple[str, ...],
    context: int,
    tokens: int | None,
    *,
    report: tuple[str, ...],
    force: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
    **passed_on: Any,
) -> None:
    """Run MODEL on text and write what was measured: importances, and what each tensor costs in each type.

    The file is an importance matrix for --imatrix, for llama-quantize too, and holds the sensitivities by which a byte
    budget chooses types. MODEL is the same as for quantize MODEL.
    """
    from quantize_cli.calibrate.extra import check_extra
    from quantize_cli.cli.words import commands_of, only_model, with_near_names
    from quantize_cli.outputs.checks import check_output, same_file
    from quantize_cli.report.calibrations.write import RENDERERS, write_calibration_page

    model = only_model(words, commands_of(click.get_current_context())) or options.default_model()
    if output is None or output == "-":
        raise UsageError("Name the file to write, for example -o calibration.gguf.")
    measuring.check_tokens(tokens, context)
    check_output(Path(output), force=force)
    paths = measuring.checked_reports(report, RENDERERS, force=force)
    if any(same_file(path, Path(output)) for path in paths):
        raise UsageError(f"The report and the calibration would both be {output}; choose another path for one of them.")
    check_extra()
    from quantize_cli.calibrate.calibrate import calibrate
    from quantize_cli.cli import evaluation_view

    with console.progress() as observer, with_near_names(model):
        found = calibrate(
            model,
            output,
            texts=text,
            context=context,
            tokens=tokens,
            observer=observer,
            force=force,
            **passed_on,
        )
    evaluation_view.show_calibration(found, str(model), output)
    for path in paths:
        write_calibration_page(found, str(model), path, force=force)


COMMAND = click.Command(
    "calibrate",
    callback=_calibrate,
    help=_calibrate.__doc__,
    short_help="Measure what matters in a model before it is quantized.",
    params=[
        click.Argument(("words",), metavar="[MODEL]", nargs=-1, callback=filled, shell_complete=completing.models),
        measuring.CALIBRATION,
        *measuring.SHARED,
        measuring.SEED,
        options.REVISION,
        measuring.report(".md or .html"),
        click.Option(("--force",), is_flag=True, help="Overwrite an existing output or report."),
        options.DEBUG,
    ],
)
