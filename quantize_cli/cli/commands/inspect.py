"""quantize inspect: a model as headers show it."""

from __future__ import annotations

import click

from quantize_cli.cli import completing, options
from quantize_cli.cli.values import filled


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
    from quantize_cli.cli.words import commands_of, only_model, with_near_names

    model = only_model(words, commands_of(click.get_current_context())) or options.default_model()
    with with_near_names(model):
        found = inspect(model, revision=revision, pre_tokenizer=pre_tokenizer)
    inspection.show(found, as_json=json)
    if found.refusal is not None:
        raise found.refusal


COMMAND = click.Command(
    "inspect",
    callback=_inspect,
    help=_inspect.__doc__,
    short_help="Show a model, and its size in every format.",
    params=[
        click.Argument(("words",), metavar="[MODEL]", nargs=-1, callback=filled, shell_complete=completing.models),
        options.REVISION,
        options.PRE_TOKENIZER,
        options.AS_JSON,
        options.DEBUG,
    ],
)
