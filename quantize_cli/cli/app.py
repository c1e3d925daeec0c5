"""The table of commands, and what runs one.

Everything slow is imported inside the commands, so that `--help` and refusals answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from quantize_cli.cli import console
from quantize_cli.cli.commands import (
    advise,
    architectures,
    calibrate,
    completion,
    doctor,
    eval,
    formats,
    inspect,
    model,
    plan,
    verify,
    warm,
)
from quantize_cli.cli.completing import VARIABLE, complete
from quantize_cli.cli.failures import ending
from quantize_cli.cli.help import Commands
from quantize_cli.cli.mistakes import check_arguments

GROUP = Commands(
    "quantize",
    commands=[
        module.COMMAND
        for module in (
            model,
            plan,
            advise,
            inspect,
            verify,
            eval,
            calibrate,
            architectures,
            formats,
            warm,
            doctor,
            completion,
        )
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
    if VARIABLE in os.environ:
        return complete(GROUP)
    check_arguments(arguments)
    code = 0
    try:
        with GROUP.make_context("quantize", arguments) as context:
            GROUP.invoke(context)
    except click.exceptions.Exit as end:  # --help and --version
        code = end.exit_code
    console.flush()
    return code
