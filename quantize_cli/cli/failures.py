"""How the command ends: whatever was raised, as an exit code and a sentence."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import click

from quantize_cli.cli.mistakes import sentence_of
from quantize_cli.cli.stopping import INTERRUPTED, STOPPED
from quantize_cli.errors import QuantizeError, UsageError
from quantize_cli.version import GENERATOR

#: Where to report what should not happen.
ISSUES = "https://github.com/quantize-cli/quantize/issues"

#: Exit code where nobody reads standard output any more: 128 + SIGPIPE, as that of other programs.
_BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of the command."""

    code: int
    sentence: str | None = None  #: None is for silence


def ending(error: BaseException) -> Ending:
    """Return the end that `error` stands for; an error of a library may be a BaseException."""
    match error:
        case BrokenPipeError() | QuantizeError(__cause__=BrokenPipeError()):  # like `cat`, which the system ends
            return Ending(_BROKEN_PIPE)
        case QuantizeError():
            return Ending(error.exit_code, str(error))
        case click.ClickException():
            return Ending(UsageError.exit_code, sentence_of(error))
        case KeyboardInterrupt():
            return Ending(INTERRUPTED, STOPPED)
        case SystemExit():  # how a signal unwinds the stack
            code = error.code if isinstance(error.code, int) else 1
            return Ending(code, STOPPED if code == INTERRUPTED else None)
        case MemoryError():
            return Ending(1, "There is not enough memory; close other programs, or give fewer --threads.")
        case OSError(strerror=str(reason)):
            where = f" on {error.filename}" if error.filename else ""
            return Ending(1, f"The system refused an operation{where} ({reason}); --debug shows where.")
        case _:
            text = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            return Ending(
                1,
                f"An unexpected error ended {GENERATOR} ({text}); please report it at {ISSUES} with the command and "
                "what it shows with --debug.",
            )
