"""The options of `quantize MODEL`: a table of those that are passed on, and the meaning of the others."""

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

Other commands:

quantize formats: list the formats

quantize warm: compile kernels ahead of time
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
        help="Format of the output, for example q4_k_m; `quantize formats` lists all. Give it several times to write "
        "several files from one read.",
    ),
]
Output = Annotated[
    str | None,  # a Path would lose a separator at the end
    _option(
        "--output",
        "-o",
        metavar="PATH",
        help="File or folder to write to, or - for standard output; end the name of a new folder with /. Default: "
        "NAME-FORMAT.gguf in the current folder.",
    ),
]
TensorType = Annotated[
    list[str] | None,
    _option(
        "--tensor-type",
        metavar="REGEX=TYPE",
        help="Type of the tensors whose names match REGEX; the first match wins.",
    ),
]
TensorTypeFile = Annotated[
    Path | None,
    _option("--tensor-type-file", metavar="FILE", help="Read entries of --tensor-type from a file."),
]
Debug = Annotated[bool, _option("--debug", help="Show a traceback above an error.")]
Version = Annotated[
    bool, _option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
]
ToWarm = Annotated[
    list[str] | None, typer.Argument(metavar="[FORMAT]...", help="Formats to compile for.", show_default=False)
]
AsJson = Annotated[bool, _option("--json", help="Print JSON instead of a table.")]


class PassedOn(TypedDict):
    """Options that become the library's keywords of the same name (`quantize_cli.keywords.Keywords`) as they are."""

    output_tensor_type: Annotated[str | None, _option(metavar="TYPE", help="Type of the output matrix.")]
    token_embedding_type: Annotated[str | None, _option(metavar="TYPE", help="Type of the token embeddings.")]
    pure: Annotated[bool, _option("--pure", help="Use the format's main type for all tensors.")]
    leave_output_tensor: Annotated[bool, _option("--leave-output-tensor", help="Do not quantize the output matrix.")]
    imatrix: Annotated[  # a Path would lose a leading ./, and the metadata has the name as it was given
        str | None,
        _option(
            metavar="FILE", help="Importance matrix from llama-imatrix, which protects the weights that matter most."
        ),
    ]
    include_weights: Annotated[
        list[str] | None,
        _option(metavar="PART", help="Use the importance matrix only for tensors with PART in their names."),
    ]
    exclude_weights: Annotated[
        list[str] | None,
        _option(metavar="PART", help="Do not use the importance matrix for tensors with PART in their names."),
    ]
    allow_requantize: Annotated[
        bool, _option("--allow-requantize", help="Quantize tensors that are already quantized, which loses quality.")
    ]
    no_fallback: Annotated[
        bool,
        _option("--no-fallback", help="Refuse tensors whose rows are not whole blocks; do not give them another type."),
    ]
    prune_layers: Annotated[str | None, _option(metavar="N,N", help="Leave out these layers.")]
    override_kv: Annotated[
        list[str] | None,
        _option(metavar="KEY=TYPE:VALUE", help="Set a field of the metadata; TYPE is int, float, bool or str."),
    ]
    keep_split: Annotated[bool, _option("--keep-split", help="Write as many files as the source has.")]
    split_max_size: Annotated[
        str | None,
        _option(metavar="N(M|G)", help="Write several files, each with at most this many bytes of tensors."),
    ]
    report: Annotated[str | None, _option(metavar="FILE", help="Write the full report to a .json or .md file.")]
    revision: Annotated[str | None, _option(metavar="NAME", help="Branch, tag or commit on the Hub.")]
    pre_tokenizer: Annotated[
        str | None,
        _option(metavar="NAME", help="llama.cpp's name of the pre-tokenizer. Default: the recognised one."),
    ]
    threads: Annotated[
        int | None,
        _option(
            "--threads", "-t", metavar="N", min=1, max=1024, help="Number of threads. Default: one for each processor."
        ),
    ]
    force: Annotated[bool, _option("--force", help="Overwrite an existing output or report.")]


def passing_on(command: Callable[..., None]) -> Callable[..., None]:
    """Give Typer the options of the table as parameters of `command`, in place of `**passed_on`."""
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
    """Return the value of an option that is left out."""
    return False if hint.__origin__ is bool else None


def tensor_types(
    context: typer.Context, given: Sequence[str] | None, file: Path | None
) -> list[tuple[str, str] | Path]:
    """Merge --tensor-type and --tensor-type-file.

    The entries of the file come before all others if the file's option comes first on the command line, else after.

    Raises:
        UsageError: An entry is wrong.
    """
    from quantize_cli.mixes.overrides import parse_tensor_type

    listed = [] if file is None else [file]
    typed = [(pattern.pattern, type_name) for pattern, type_name in map(parse_tensor_type, given or ())]
    order = list(context.params)  # that of the command line
    file_first = order.index("tensor_type_file") < order.index("tensor_type")
    return [*listed, *typed] if file_first else [*typed, *listed]


def default_model() -> Path:
    """Return the current folder if it is a checkpoint, else ./model."""
    here = Path()
    return here if (here / "config.json").is_file() else here / "model"


def output_stream(output: str | None) -> str | BinaryIO | None:
    """Return standard output for `-`; it must be open, and not a terminal."""
    if output != "-":
        return output
    if sys.stdout is None:
        raise UsageError("Standard output is closed; redirect it, or name a file with -o.")
    if sys.stdout.isatty():
        raise UsageError("A terminal cannot show a GGUF file; redirect standard output, or name a file with -o.")
    return sys.stdout.buffer
