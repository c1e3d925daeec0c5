"""quantize eval: how far files are from their original, as what they predict."""

from __future__ import annotations

from typing import Any

import click

from quantize_cli.cli import completing, console, measuring, options
from quantize_cli.cli.values import file_names, filled
from quantize_cli.errors import UsageError


def _eval(
    files: tuple[str, ...],
    against: str | None,
    text: tuple[str, ...],
    context: int,
    tokens: int | None,
    *,
    max_kld: float | None,
    report: tuple[str, ...],
    force: bool,
    json: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
    **passed_on: Any,
) -> None:
    """Measure how far the predictions of GGUF files are from those of MODEL, their original.

    It shows for each FILE the mean KL divergence with its standard error, the share of tokens with the same top token,
    and the perplexity, also by kind of text. All files are measured on the same tokens, in one pass over MODEL.
    """
    from quantize_cli.calibrate.extra import check_extra
    from quantize_cli.evaluation.files import check_files
    from quantize_cli.report.evaluations.write import RENDERERS, write_evaluation

    check_files(files)
    if against is None:
        raise UsageError(
            "--against is missing; name the model that the files were made from, a folder, file or Hub id (org/name)."
        )
    measuring.check_tokens(tokens, context)
    paths = measuring.checked_reports(report, RENDERERS, force=force)
    check_extra()
    from quantize_cli.calibrate.evaluate import evaluate
    from quantize_cli.cli import evaluation_view
    from quantize_cli.cli.words import with_near_names

    with console.progress() as observer, with_near_names(against):
        found = evaluate(files, against, texts=text, context=context, tokens=tokens, observer=observer, **passed_on)
    evaluation_view.show(found, as_json=json)
    for path in paths:
        write_evaluation(found, path, force=force)
    evaluation_view.check(found, max_kld)


COMMAND = click.Command(
    "eval",
    callback=_eval,
    help=_eval.__doc__,
    short_help="Measure how far files are from their original.",
    params=[
        click.Argument(("files",), metavar="FILE...", nargs=-1, callback=file_names, shell_complete=completing.paths),
        click.Option(
            ("--against",),
            metavar="MODEL",
            callback=filled,
            shell_complete=completing.models,
            help="The original, a folder, file or Hub id.",
        ),
        *measuring.SHARED,
        measuring.MAX_KLD,
        options.REVISION,
        measuring.report(".json, .md or .html"),
        click.Option(("--force",), is_flag=True, help="Overwrite an existing report."),
        options.AS_JSON,
        options.DEBUG,
    ],
)
