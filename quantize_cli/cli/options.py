"""Options and arguments: one table of what each is called and says, and the defaults that depend on the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import typer

from quantize_cli.errors import UsageError
from quantize_cli.version import GENERATOR

EXAMPLES = """
Examples:

quantize SmolLM2-135M-Instruct --format q4_k_m

quantize org/name --format iq4_xs --report report.md

quantize model --format q8_0 -o - | gzip > model.gguf.gz
"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(GENERATOR)
        raise typer.Exit


MODEL = typer.Argument(metavar="MODEL", help="Folder, .safetensors file or Hub id (org/name).", show_default=False)
FORMAT = typer.Option(
    "--format",
    "-f",
    metavar="NAME",
    help="f32, f16, bf16, q8_0, q4_k_m, iq4_xs, q3_k_m or q2_k, in any case.",
    show_default=False,
)
OUTPUT = typer.Option(
    "--output",
    "-o",
    metavar="PATH",
    help="File to write, - for standard output. Default: NAME-FORMAT.gguf in the current folder.",
    show_default=False,
)
REPORT = typer.Option("--report", metavar="FILE", help="Write the full report, as .json or .md.", show_default=False)
REVISION = typer.Option("--revision", help="Branch, tag or commit on the Hub.", show_default=False)
PRE_TOKENIZER = typer.Option(
    "--pre-tokenizer",
    metavar="NAME",
    help="llama.cpp's name of the pre-tokenizer, where it is not recognised.",
    show_default=False,
)
THREADS = typer.Option(
    "--threads", "-t", min=1, max=1024, help="Worker threads. Default: every processor.", show_default=False
)
FORCE = typer.Option("--force", help="Overwrite an existing output or report.")
DEBUG = typer.Option("--debug", help="Show a traceback with an error.")
VERSION = typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")


def default_model() -> Path:
    """The current folder if it is a checkpoint, else ./model."""
    here = Path()
    return here if (here / "config.json").is_file() else here / "model"


def check_different(output: Path | None, report: Path) -> None:
    """The report is written last, and must not take the model's place."""
    if output is not None and os.path.realpath(output) == os.path.realpath(report):
        raise UsageError(f"{report} cannot hold both the model and its report; give --report another path.")


def output_stream(output: Path | None) -> Path | BinaryIO | None:
    """`-` means standard output, which must be open, and no terminal."""
    if output != Path("-"):
        return output
    if sys.stdout is None:
        raise UsageError("Standard output is closed: redirect it, or name a file with -o.")
    if sys.stdout.isatty():
        raise UsageError("A GGUF file is not for a terminal: redirect standard output, or name a file with -o.")
    return sys.stdout.buffer
