"""The options of the commands that run a model, `quantize eval` and `quantize calibrate`, and what these share."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click

from quantize_cli.cli import completing
from quantize_cli.cli.values import file_name, file_names, filled, tokens
from quantize_cli.errors import UsageError

#: What a model can be computed in.
DTYPES = ("f32", "bf16")
#: The largest seed.
_MOST_SEED = 2**63 - 1


def _dtype(_context: click.Context, _parameter: click.Parameter, given: str) -> str:
    if given not in DTYPES:
        raise UsageError(f"--dtype takes {' or '.join(DTYPES)}, not {given[:40]!r}.")
    return given


def _seed(_context: click.Context, _parameter: click.Parameter, given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) < 20 and int(given) <= _MOST_SEED):
        raise UsageError(f"--seed takes a number from 0 to {_MOST_SEED}, not {given[:40]!r}.")
    return int(given)


def _nats(_context: click.Context, _parameter: click.Parameter, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        limit = float(given)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise UsageError(f"--max-kld takes nats a token from 0 on, for example 0.05, not {given[:40]!r}.")
    return limit


#: What both commands take.
SHARED = (
    click.Option(
        ("--text",),
        metavar="FILE",
        multiple=True,
        callback=file_names,
        shell_complete=completing.paths,
        help="Use this UTF-8 text in place of the built-in ones. Give it several times; each file is a kind.",
    ),
    click.Option(
        ("--context",),
        metavar="N",
        default="512",
        callback=tokens,
        help="Tokens of a sequence. Default: 512.",
    ),
    click.Option(
        ("--tokens",), metavar="N", callback=tokens, help="Use at most this many tokens. Default: those of all texts."
    ),
    click.Option(
        ("--device",),
        metavar="NAME",
        default="cpu",
        callback=filled,
        help="Where the model runs: cpu, cuda, cuda:1, mps. Default: cpu.",
    ),
    click.Option(
        ("--dtype",),
        metavar="NAME",
        default="f32",
        callback=_dtype,
        help="What the model is computed in: f32, or bf16, which takes half the memory. Default: f32.",
    ),
)
SEED = click.Option(
    ("--seed",),
    metavar="N",
    default="0",
    callback=_seed,
    help="Seed of what is drawn at random; the same seed gives the same file. Default: 0.",
)
MAX_KLD = click.Option(
    ("--max-kld",),
    metavar="NATS",
    callback=_nats,
    help="Most mean KLD of every file, in nats a token, for example 0.05; the exit code is 3 if one has more.",
)
CALIBRATION = click.Option(
    ("--output", "-o"),
    metavar="FILE",
    callback=file_name,
    shell_complete=completing.paths,
    help="File to write, for example calibration.gguf.",
)

#: The options of both, for sentences about mistakes; those named as options of `quantize MODEL` are left out.
ALL = (*SHARED, SEED, MAX_KLD)


def report(forms: str) -> click.Option:
    """Make the option for reports that can have these forms."""
    return click.Option(
        ("--report",),
        metavar="FILE",
        multiple=True,
        callback=file_names,
        shell_complete=completing.paths,
        help=f"Write a report: {forms}. Give it several times for several files.",
    )


def checked_reports(given: tuple[str, ...], forms: Collection[str], *, force: bool) -> list[Path]:
    """Return the paths of the reports, each once, and refuse before the work what could not be written after it.

    Raises:
        UsageError: A suffix is not one of `forms`.
        OutputError: See `quantize_cli.outputs.checks.check_output`.
    """
    from quantize_cli.report.write import check_report_path, report_paths

    paths = report_paths(given)
    for path in paths:
        check_report_path(path, force=force, forms=forms)
    return paths


def check_tokens(tokens: int | None, context: int) -> None:
    """Refuse a number of tokens that does not make a sequence.

    Raises:
        UsageError: It is too small.
    """
    if tokens is not None and tokens < context:
        raise UsageError(
            f"--tokens {tokens} is less than a sequence of {context} tokens; give at least --tokens {context}."
        )
