"""The options of `quantize MODEL`, under the headings of its help, and the meaning of those that are not passed on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from quantize_cli.cli import completing, console
from quantize_cli.cli.publishing import confirmed
from quantize_cli.cli.values import file_name, file_names, filled, sample, threads, tokens
from quantize_cli.errors import UsageError
from quantize_cli.version import GENERATOR


def _option(*names: str, value: str, help: str, meaning: Callable[..., Any] = filled, **said: Any) -> click.Option:
    if meaning in (file_name, file_names):
        said["shell_complete"] = completing.paths
    return click.Option(names, metavar=value, help=help, callback=meaning, **said)


def _flag(name: str, help: str, **said: Any) -> click.Option:
    return click.Option((name,), is_flag=True, help=help, **said)


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        console.put(GENERATOR)
        context.exit()


DEBUG = _flag("--debug", "Show a traceback above an error.")
VERSION = click.Option(
    ("--version", "-V"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
AS_JSON = _flag("--json", "Print JSON instead of a table.")
REVISION = _option("--revision", value="NAME", help="Branch, tag or commit on the Hub.")
PRE_TOKENIZER = _option(
    "--pre-tokenizer", value="NAME", help="llama.cpp's name of the pre-tokenizer. Default: the recognised one."
)
#: Options about the memory to run a file; the first is that of the commands that show sizes.
FITS = _option("--fits", value="SIZE", help="Mark the formats whose files run in this much memory, for example 16GiB.")
CONTEXT = _option(
    "--context",
    value="N",
    meaning=tokens,
    help="Tokens of the context to run a file with. Default: the model's, at most 4096.",
)

AGAINST = _option(
    "--against",
    value="MODEL",
    help="Derive the tensors again from MODEL, a folder, file or Hub id, and compare them.",
)
SAMPLE = _option(
    "--sample",
    value="N",
    meaning=sample,
    help="Compare only N pieces of each tensor, the same in every run.",
)

#: Heading of the help -> its options. Options become the library's keywords of the same name
#: (`quantize_cli.keywords.Keywords`), except those in `OWN`.
SECTIONS: Mapping[str, Sequence[click.Option]] = {
    "Format and output": (
        _option(
            "formats",
            "--format",
            "-f",
            value="NAME",
            multiple=True,
            shell_complete=completing.formats,
            help="Format of the output, for example q4_k_m; `quantize formats` lists all. Give it several times to "
            "write several files from one read.",
        ),
        _option(
            "--output",
            "-o",
            value="PATH",
            meaning=file_name,
            help="File or folder to write to, or - for standard output; end the name of a new folder with /. Default: "
            "NAME-FORMAT.gguf in the current folder.",
        ),
        _option(
            "--report",
            value="FILE",
            multiple=True,
            meaning=file_names,
            help="Write a full report: .json, .md or .html; - prints it as Markdown, json:- as JSON. Give it several "
            "times for several files.",
        ),
        _flag("--force", "Overwrite an existing output or report."),
        _option(
            "--checksums",
            value="FILE",
            meaning=file_name,
            help="Write the SHA-256 of every file, as `sha256sum -c` reads it.",
        ),
        _flag("--modelfile", "Write a Modelfile for Ollama beside each file."),
        _flag("--json", "Print the report as JSON on standard output, one line for each format."),
        _flag("--restart", "Start anew where an earlier run was stopped. Default: go on with what it has left."),
        _option(
            "--push-to",
            value="ORG/NAME",
            meaning=confirmed,
            help="Upload the files and a model card to this repository on the Hub, which is made private.",
        ),
        _flag("--public", "Make the repository of --push-to public; asks first, at a terminal only.", is_eager=True),
        _flag("--dry-run", "Show the sizes and types that would be written, without reading a weight."),
        _flag("--keep-split", "Write as many files as the source has."),
        _option(
            "--split-max-size",
            value="N(M|G)",
            help="Write several files, each with at most this many bytes of tensors.",
        ),
        _flag(
            "--no-provenance",
            "Write neither keys that tell where the file comes from nor digests of its tensors; the file is "
            "llama-quantize's then, byte for byte.",
        ),
    ),
    "Budget in place of a format": (
        _option(
            "--target-size",
            value="SIZE",
            help="Choose the type of each tensor so that the whole file has at most this size, for example 5.5G.",
        ),
        _option(
            "--target-bpw", value="BITS", help="The same for the bits of a weight, over all tensors, for example 3.5."
        ),
        _option(
            "--like",
            value="NAME",
            shell_complete=completing.formats,
            help="The same for the bytes of the file in this format, for example q3_k_m.",
        ),
        _option(
            "--memory",
            value="SIZE",
            help="The same for the memory to run the file: weights, context and compute buffer, for example 16GiB.",
        ),
        CONTEXT,
        _option(
            "--calibration",
            value="FILE",
            meaning=file_name,
            help="What `quantize calibrate` has measured of the model: the costs of types, and an importance matrix.",
        ),
        _option(
            "--types",
            value="SET",
            help="Types to choose from: k, fast, all, or types separated by commas. Default: all that are measured.",
        ),
        _option(
            "--write-tensor-types",
            value="FILE",
            meaning=file_name,
            help="Write the types of the tensors, as --tensor-type-file takes them, here and in llama-quantize.",
        ),
    ),
    "Rounding": (
        _option(
            "--method",
            value="NAME",
            help="How tensors are rounded: reference, as llama.cpp does (default); or gptq, awq or awq+gptq, by what "
            "the model computes, which need --calibration and the extra [calibrate].",
        ),
        _option("--device", value="NAME", help="Where --method computes: cpu, cuda, cuda:1, mps. Default: cpu."),
    ),
    "Types of tensors": (
        _option(
            "--tensor-type",
            value="REGEX=TYPE",
            multiple=True,
            help="Type of the tensors whose names match REGEX; the first match wins.",
        ),
        _option(
            "--tensor-type-file", value="FILE", meaning=file_name, help="Read entries of --tensor-type from a file."
        ),
        _option("--output-tensor-type", value="TYPE", help="Type of the output matrix."),
        _option("--token-embedding-type", value="TYPE", help="Type of the token embeddings."),
        _flag("--pure", "Use the format's main type for all tensors."),
        _flag("--leave-output-tensor", "Do not quantize the output matrix."),
        _flag("--allow-requantize", "Quantize tensors that are already quantized, which loses quality."),
        _flag("--no-fallback", "Refuse tensors whose rows are not whole blocks; do not give them another type."),
    ),
    "Importance matrix": (
        _option(  # the metadata has the name as it was given, with a leading ./
            "--imatrix",
            value="FILE",
            meaning=file_name,
            help="Importance matrix from llama-imatrix, which protects the weights that matter most.",
        ),
        _option(
            "--include-weights",
            value="PART",
            multiple=True,
            help="Use the importance matrix only for tensors with PART in their names.",
        ),
        _option(
            "--exclude-weights",
            value="PART",
            multiple=True,
            help="Do not use the importance matrix for tensors with PART in their names.",
        ),
    ),
    "Model": (
        REVISION,
        _flag("--stream", "Read the weights from the Hub while they are quantized; do not download the model."),
        _option("--prune-layers", value="N,N", help="Leave out these layers."),
        _option(
            "--override-kv",
            value="KEY=TYPE:VALUE",
            multiple=True,
            help="Set a field of the metadata; TYPE is int, float, bool or str.",
        ),
        PRE_TOKENIZER,
    ),
    "Gates": (
        _option(
            "--max-rmse",
            value="[REGEX=]RATIO",
            multiple=True,
            help="Most relative RMSE of the model, or of each tensor whose name matches REGEX, for example 0.08 or "
            "attn_v=5%. A run that fails a gate does not leave files, and its exit code is 3.",
        ),
        _option(
            "--min-sqnr", value="[REGEX=]DB", multiple=True, help="Least ratio of signal to error in decibels, alike."
        ),
        _option("--max-size", value="[REGEX=]SIZE", multiple=True, help="Most bytes, alike, for example 4GiB."),
        _flag("--keep-failed", "Keep files that fail a gate; the exit code stays 3."),
    ),
    "Run": (
        _option(
            "--threads",
            "-t",
            value="N",
            meaning=threads,
            help="Number of threads. Default: one for each processor.",
        ),
        _option(
            "--config",
            value="FILE",
            meaning=file_name,
            help="Do what this file asks for, by the name of quantize.toml as a rule; options given here come first.",
        ),
        _flag("--quiet", "Show nothing on standard error but errors."),
        DEBUG,
        VERSION,
    ),
}

#: Options that give a budget in a format's place.
BUDGETS = ("target_size", "target_bpw", "like", "memory")

#: Options that the command line gives a meaning itself.
OWN = frozenset(
    {
        "checksums",
        "config",
        "debug",
        "dry_run",
        "formats",
        "json",
        "modelfile",
        "output",
        "quiet",
        "tensor_type",
        "tensor_type_file",
        "version",
    }
)
#: Keywords of a run, which a plan does not have.
OF_A_RUN = frozenset(
    {
        "device",
        "force",
        "keep_failed",
        "max_rmse",
        "max_size",
        "min_sqnr",
        "public",
        "push_to",
        "report",
        "restart",
        "stream",
        "threads",
        "write_tensor_types",
    }
)

ALL: Sequence[click.Option] = [option for options in SECTIONS.values() for option in options]
#: Names of the library's keywords among them.
PASSED_ON = frozenset(str(option.name) for option in ALL) - OWN


def tensor_types(context: click.Context, given: Sequence[str], file: str | None) -> list[tuple[str, str] | Path]:
    """Merge --tensor-type and --tensor-type-file.

    The entries of the file come before all others if the file's option comes first on the command line, else after.

    Raises:
        UsageError: An entry is wrong.
    """
    from quantize_cli.mixes.overrides import parse_tensor_type

    listed = [] if file is None else [Path(file)]
    typed = [(pattern.pattern, type_name) for pattern, type_name in map(parse_tensor_type, given)]
    order = list(context.params)  # that of the command line
    file_first = order.index("tensor_type_file") < order.index("tensor_type")
    return [*listed, *typed] if file_first else [*typed, *listed]


def default_model() -> Path:
    """Return the current folder if it is a checkpoint, else ./model.

    Raises:
        UsageError: ./model does not exist either.
    """
    here = Path()
    if (here / "config.json").is_file():
        return here
    if not (here / "model").exists():
        raise UsageError(
            "No MODEL is given, and the current folder is not a checkpoint; name a folder, a .safetensors or .gguf "
            "file, or a Hub id (org/name)."
        )
    return here / "model"


def output_stream(output: str | None) -> str | BinaryIO | None:
    """Return standard output for `-`; it must be open, and not a terminal."""
    if output != "-":
        return output
    if sys.stdout is None:
        raise UsageError("Standard output is closed; redirect it, or name a file with -o.")
    if sys.stdout.isatty():
        raise UsageError("A terminal cannot show a GGUF file; redirect standard output, or name a file with -o.")
    return sys.stdout.buffer
