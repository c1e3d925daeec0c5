"""Mistakes in options, and the sentence that answers each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import click

from quantize_cli.errors import UsageError

_NONE_NEEDED = "leave it out"

#: Options of other programs (llama-quantize, convert_hf_to_gguf.py and what people expect) -> what to write.
_OF_OTHERS = {
    **dict.fromkeys(
        ("--outtype", "--bits", "--quant", "--quantize", "--quantization", "--qtype", "--ftype", "--type", "--dtype"),
        "write --format NAME, for example --format q4_k_m",
    ),
    **dict.fromkeys(("-q", "-b", "--method", "--wbits"), "write --format NAME, for example --format q4_k_m"),
    **dict.fromkeys(("--outfile", "--out", "--out-file", "--output-dir", "--outdir", "--dest"), "write --output PATH"),
    **dict.fromkeys(
        ("--model", "-m", "--input", "-i", "--in", "--infile", "--model-path", "--model-id", "--repo", "--repo-id"),
        "write MODEL without an option, as in quantize MODEL --format q4_k_m",
    ),
    **dict.fromkeys(("--nthreads", "--n-threads", "--num-threads", "-j", "--jobs"), "write --threads N"),
    **dict.fromkeys(("--overwrite", "-y", "--yes"), "write --force"),
    **dict.fromkeys(("--verbose", "-v"), "--report FILE writes what is known of every tensor, --debug shows tracebacks"),
    "--model-name": "write --override-kv general.name=str:NAME",
    "--remote": "write the Hub id as MODEL",
    "--list": "`quantize formats` lists the formats",
    "--print-supported-models": "the README lists them",
    **dict.fromkeys(("--max-buffer-size", "--use-temp-file", "--no-lazy"), "leave it out, because memory is bounded"),
}


def check_dashes(arguments: Sequence[str], known: Iterable[click.Option]) -> None:
    """Refuse a long option with one dash, which would be read as a short one with a value.

    Raises:
        UsageError: There is one.
    """
    long = {name for option in known for name in option.opts if name.startswith("--")}
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if f"-{name}" in long:
            raise UsageError(f"{name} is written with two dashes: -{name}.")


def sentence_of(error: click.ClickException) -> str:
    """Turn an error in the use of options into a sentence."""
    if isinstance(error, click.NoSuchOption):
        return f"{error.option_name} is not an option; {_instead_of(error.option_name, error.ctx)}."
    text = error.format_message().rstrip(".")
    if isinstance(error, click.BadOptionUsage):
        text = text.removeprefix("Option ").replace("'", "")
    return f"{text}; `quantize --help` shows how it is used."


def _instead_of(name: str, context: click.Context | None) -> str:
    if name in _OF_OTHERS:
        return _OF_OTHERS[name]
    known = [option for parameter in context.command.params for option in parameter.opts] if context else []
    near = get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.6)
    return f"the nearest is {near[0]}" if near else "`quantize --help` shows all"
