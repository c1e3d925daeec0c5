"""Options and arguments: one table of what each is called and says, and the defaults that depend on the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import typer

from quantize_cli.errors import UsageError
from quantize_cli.version import GENERATOR

if TYPE_CHECKING:
    from quantize_cli.plan.options import PlanOptions

Said = TypeVar("Said")
Value = TypeVar("Value")

EXAMPLES = """
Examples:

quantize SmolLM2-135M-Instruct --format q4_k_m

quantize org/name --format iq4_xs --report report.md

quantize model --format iq2_xs --imatrix imatrix.gguf

quantize model -f q8_0 -f q5_k_m -f q4_k_m -o models

quantize model.gguf --format q8_0 -o - | gzip > model.gguf.gz

The formats are listed by: quantize formats
"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(GENERATOR)
        raise typer.Exit


MODEL = typer.Argument(
    metavar="MODEL", help="Folder, .safetensors or .gguf file, or Hub id (org/name).", show_default=False
)
FORMAT = typer.Option(
    "--format",
    "-f",
    metavar="NAME",
    help="Format of the output, q4_k_m say; several give several files from one read. `quantize formats` lists them.",
    show_default=False,
)
OUTPUT = typer.Option(
    "--output",
    "-o",
    metavar="PATH",
    help="File or folder to write to, - for standard output. Default: NAME-FORMAT.gguf in the current folder.",
    show_default=False,
)
IMATRIX = typer.Option(
    "--imatrix",
    metavar="FILE",
    help="Importance matrix made by llama-imatrix: what counts most is rounded least.",
    show_default=False,
)
INCLUDE_WEIGHTS = typer.Option(
    "--include-weights", metavar="PART", help="Use it only for tensors with PART in their name.", show_default=False
)
EXCLUDE_WEIGHTS = typer.Option(
    "--exclude-weights", metavar="PART", help="Do not use it for tensors with PART in their name.", show_default=False
)
TENSOR_TYPE = typer.Option(
    "--tensor-type",
    metavar="REGEX=TYPE",
    help="Type of the tensors whose name has REGEX; the first that fits decides.",
    show_default=False,
)
TENSOR_TYPE_FILE = typer.Option(
    "--tensor-type-file", metavar="FILE", help="The same from a file, in its place on the line.", show_default=False
)
OUTPUT_TENSOR_TYPE = typer.Option(
    "--output-tensor-type", metavar="TYPE", help="Type of the output matrix.", show_default=False
)
TOKEN_EMBEDDING_TYPE = typer.Option(
    "--token-embedding-type", metavar="TYPE", help="Type of the token embeddings.", show_default=False
)
PURE = typer.Option("--pure", help="The format's main type for all tensors.")
LEAVE_OUTPUT_TENSOR = typer.Option("--leave-output-tensor", help="Do not quantize the output matrix.")
ALLOW_REQUANTIZE = typer.Option("--allow-requantize", help="Quantize tensors that are quantized already, at a loss.")
NO_FALLBACK = typer.Option("--no-fallback", help="Refuse tensors that the format's blocks do not divide.")
PRUNE_LAYERS = typer.Option("--prune-layers", metavar="N,N", help="Leave out these layers.", show_default=False)
OVERRIDE_KV = typer.Option(
    "--override-kv",
    metavar="KEY=TYPE:VALUE",
    help="Set a field of the metadata; TYPE is int, float, bool or str.",
    show_default=False,
)
KEEP_SPLIT = typer.Option("--keep-split", help="Write as many files as the source has.")
SPLIT_MAX_SIZE = typer.Option(
    "--split-max-size",
    metavar="N(M|G)",
    help="Write several files with at most so many bytes of tensors.",
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
WARM = typer.Argument(metavar="[FORMAT]...", help="Formats to compile for.", show_default=False)
JSON = typer.Option("--json", help="As JSON.")
FORCE = typer.Option("--force", help="Overwrite an existing output or report.")
DEBUG = typer.Option("--debug", help="Show a traceback with an error.")
VERSION = typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """What the user says of the tensors, as it was typed."""

    imatrix: str | None  #: a Path would lose a leading ./, and the metadata has the name as it was given
    include_weights: list[str]
    exclude_weights: list[str]
    tensor_type: list[str]
    tensor_type_file: Path | None
    file_first: bool  #: it stood before the first --tensor-type
    output_tensor_type: str | None
    token_embedding_type: str | None
    pure: bool
    leave_output_tensor: bool
    allow_requantize: bool
    no_fallback: bool
    prune_layers: str | None
    override_kv: list[str]
    keep_split: bool
    split_max_size: str | None


def given_first(context: typer.Context, one: str, other: str) -> bool:
    """Whether parameter `one` was given before `other`: a context holds them in the order of the command line."""
    order = list(context.params)
    return order.index(one) < order.index(other)


def plan_options(said: PlanArguments) -> PlanOptions:
    """The same as values.

    Raises:
        UsageError, CheckpointError: one of them is none, or its file is damaged.
    """
    from quantize_cli.importance.read import read_importance
    from quantize_cli.mixes.overrides import TypeOverrides, parse_tensor_type, read_tensor_type_file
    from quantize_cli.mixes.tensor_types import find_type
    from quantize_cli.plan.metadata import parse_override
    from quantize_cli.plan.options import PlanOptions
    from quantize_cli.plan.prune import parse_layers
    from quantize_cli.plan.split import parse_size

    if said.imatrix is None and (said.include_weights or said.exclude_weights):
        raise UsageError(
            "--include-weights and --exclude-weights choose from an importance matrix: give it by --imatrix."
        )
    matrix = _given(read_importance, said.imatrix)
    listed = _given(read_tensor_type_file, said.tensor_type_file) or ()
    given = tuple(map(parse_tensor_type, said.tensor_type))
    return PlanOptions(
        overrides=TypeOverrides(
            output_tensor_type=_given(find_type, said.output_tensor_type),
            token_embedding_type=_given(find_type, said.token_embedding_type),
            tensor_types=(*listed, *given) if said.file_first else (*given, *listed),
            pure=said.pure,
            leave_output_tensor=said.leave_output_tensor,
        ),
        importance=matrix.selected(said.include_weights, said.exclude_weights) if matrix else None,
        metadata=tuple(map(parse_override, said.override_kv)),
        prune_layers=_given(parse_layers, said.prune_layers) or frozenset(),
        allow_requantize=said.allow_requantize,
        no_fallback=said.no_fallback,
        keep_split=said.keep_split,
        split_max_size=_given(parse_size, said.split_max_size),
    )


def _given(parse: Callable[[Said], Value], said: Said | None) -> Value | None:
    """What an option's value means, or None where it is left out; an empty one, of an unset variable say, is not."""
    return None if said is None else parse(said)


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
