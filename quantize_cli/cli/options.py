"""The options of `quantize MODEL`: one table of those that are passed on, and what the others mean."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypedDict, get_type_hints

import typer

from quantize_cli.errors import UsageError
from quantize_cli.version import GENERATOR

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


def _option(*names: str, **said: Any) -> Any:
    return typer.Option(*names, show_default=False, **said)


Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL", help="Folder, .safetensors or .gguf file, or Hub id (org/name).", show_default=False
    ),
]
Formats = Annotated[
    list[str],
    _option(
        "--format",
        "-f",
        metavar="NAME",
        help="Format of the output, for example q4_k_m; several give several files from one read. "
        "`quantize formats` lists them.",
    ),
]
Output = Annotated[
    Path | None,
    _option(
        "--output",
        "-o",
        metavar="PATH",
        help="File or folder to write to, - for standard output. Default: NAME-FORMAT.gguf in the current folder.",
    ),
]
TensorType = Annotated[
    list[str] | None,
    _option(
        "--tensor-type",
        metavar="REGEX=TYPE",
        help="Type of the tensors whose name has REGEX; the first match wins.",
    ),
]
TensorTypeFile = Annotated[
    Path | None,
    _option("--tensor-type-file", metavar="FILE", help="The same from a file, in its place on the line."),
]
Debug = Annotated[bool, _option("--debug", help="Show a traceback with an error.")]
Version = Annotated[
    bool, _option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
]
ToWarm = Annotated[
    list[str] | None, typer.Argument(metavar="[FORMAT]...", help="Formats to compile for.", show_default=False)
]
AsJson = Annotated[bool, _option("--json", help="As JSON.")]


class PassedOn(TypedDict):
    """Options that become the library's keywords of the same name (`quantize_cli.keywords.Keywords`) as they are."""

    output_tensor_type: Annotated[str | None, _option(metavar="TYPE", help="Type of the output matrix.")]
    token_embedding_type: Annotated[str | None, _option(metavar="TYPE", help="Type of the token embeddings.")]
    pure: Annotated[bool, _option("--pure", help="Use the format's main type for all tensors.")]
    leave_output_tensor: Annotated[bool, _option("--leave-output-tensor", help="Do not quantize the output matrix.")]
    imatrix: Annotated[  # a Path would lose a leading ./, and the metadata has the name as it was given
        str | None,
        _option(metavar="FILE", help="Importance matrix made by llama-imatrix: what counts most is rounded least."),
    ]
    include_weights: Annotated[
        list[str] | None, _option(metavar="PART", help="Use it only for tensors with PART in their name.")
    ]
    exclude_weights: Annotated[
        list[str] | None, _option(metavar="PART", help="Do not use it for tensors with PART in their name.")
    ]
    allow_requantize: Annotated[
        bool, _option("--allow-requantize", help="Quantize tensors that are quantized already, at a loss.")
    ]
    no_fallback: Annotated[
        bool, _option("--no-fallback", help="Refuse tensors whose rows the format's blocks do not divide.")
    ]
    prune_layers: Annotated[str | None, _option(metavar="N,N", help="Leave out these layers.")]
    override_kv: Annotated[list[str] | None, _option(metavar="KEY=TYPE:VALUE", help="Set a field of the metadata.")]
    keep_split: Annotated[bool, _option("--keep-split", help="Write as many files as the source has.")]
    split_max_size: Annotated[
        str | None,
        _option(metavar="N(M|G)", help="Write several files with at most so many bytes of tensors in each."),
    ]
    report: Annotated[str | None, _option(metavar="FILE", help="Write the full report, as .json or .md.")]
    revision: Annotated[str | None, _option(help="Branch, tag or commit on the Hub.")]
    pre_tokenizer: Annotated[
        str | None,
        _option(metavar="NAME", help="llama.cpp's name of the pre-tokenizer, where it is not recognised."),
    ]
    threads: Annotated[
        int | None, _option("--threads", "-t", min=1, max=1024, help="Worker threads. Default: every processor.")
    ]
    force: Annotated[bool, _option("--force", help="Overwrite an existing output or report.")]


def passing_on(command: Callable[..., None]) -> Callable[..., None]:
    """Give Typer the options of the table as parameters of `command`, in place of its `**passed_on`."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    table = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(hint), annotation=hint)
        for name, hint in get_type_hints(PassedOn, include_extras=True).items()
    ]
    before = [parameter for parameter in own if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    after = [parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]
    parameters = [*before, *table, *after]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _default(hint: Any) -> bool | None:
    """Return what an option that is left out stands for."""
    return False if hint.__origin__ is bool else None


def tensor_types(context: typer.Context, given: Sequence[str] | None, file: Path | None) -> list[tuple[str, str]]:
    """Merge --tensor-type and --tensor-type-file, whose entries stand before or after all others, as on the line.

    Raises:
        UsageError: an entry is wrong, or the file cannot be read.
    """
    from quantize_cli.mixes.overrides import parse_tensor_type, read_tensor_type_file

    listed = [] if file is None else list(read_tensor_type_file(file))
    typed = [parse_tensor_type(text) for text in given or ()]
    order = list(context.params)  # that of the command line
    file_first = order.index("tensor_type_file") < order.index("tensor_type")
    entries = [*listed, *typed] if file_first else [*typed, *listed]
    return [(pattern.pattern, type_name) for pattern, type_name in entries]


def default_model() -> Path:
    """Return the current folder if it is a checkpoint, else ./model."""
    here = Path()
    return here if (here / "config.json").is_file() else here / "model"


def output_stream(output: Path | None) -> Path | BinaryIO | None:
    """Return standard output for `-`; it must be open, and not a terminal."""
    if output != Path("-"):
        return output
    if sys.stdout is None:
        raise UsageError("Standard output is closed: redirect it, or name a file with -o.")
    if sys.stdout.isatty():
        raise UsageError("A GGUF file is not for a terminal: redirect standard output, or name a file with -o.")
    return sys.stdout.buffer
