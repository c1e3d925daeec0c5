"""quantize advise: which model, and which format, runs in so much memory."""

from __future__ import annotations

from contextlib import ExitStack

import click

from quantize_cli.cli import completing, console, options
from quantize_cli.cli.values import file_names, filled, tokens
from quantize_cli.errors import UsageError

MEMORY = click.Option(
    ("--memory",), metavar="SIZE", callback=filled, help="Memory that running a file may take, for example 16GiB."
)
EVALUATION = click.Option(
    ("--evaluation",),
    metavar="FILE",
    multiple=True,
    callback=file_names,
    shell_complete=completing.paths,
    help="What `quantize eval --json` has printed for one of the models: its files are shown with their KLD.",
)


def _advise(
    words: tuple[str, ...],
    memory: str | None,
    context: int | None,
    evaluation: tuple[str, ...],
    *,
    everything: bool,
    json: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
) -> None:
    """Show which of several models runs in so much memory, and in which formats; no weight is read or downloaded.

    A table has the largest model first, and of each model the formats with the most bits: the size, the bits a weight,
    and the memory that is left. MODEL is the same as for quantize MODEL; a quantized GGUF file stands for itself.
    """
    if memory is None:
        raise UsageError("--memory is missing; tell how much there is, for example --memory 16GiB.")
    from quantize_cli.api import advise
    from quantize_cli.cli import advice_view
    from quantize_cli.cli.words import commands_of, several_models, with_near_names

    models = several_models(words, commands_of(click.get_current_context())) or [str(options.default_model())]
    with ExitStack() as stack:
        observer = stack.enter_context(console.progress())
        for model in models:
            stack.enter_context(with_near_names(model))
        found = advise(models, memory, context=context, evaluations=evaluation, observer=observer)
    advice_view.show(found, as_json=json, everything=everything)


COMMAND = click.Command(
    "advise",
    callback=_advise,
    help=_advise.__doc__,
    short_help="Show which models and formats fit into memory.",
    params=[
        click.Argument(("words",), metavar="[MODEL]...", nargs=-1, callback=filled, shell_complete=completing.models),
        MEMORY,
        click.Option(
            ("--context",),
            metavar="N",
            callback=tokens,
            help="Tokens of the context to run a file with. Default: each model's, at most 4096.",
        ),
        EVALUATION,
        click.Option(("everything", "--all"), is_flag=True, help="Show every format that fits."),
        options.AS_JSON,
        options.DEBUG,
    ],
)
