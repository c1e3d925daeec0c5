"""Mistakes in options, and the sentence that answers each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches

import click

from quantize_cli.cli.options import ALL, AS_JSON
from quantize_cli.errors import UsageError

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
    **dict.fromkeys(("--verbose", "-v"), "--report FILE writes all that is known of each tensor"),
    "--model-name": "write --override-kv general.name=str:NAME",
    "--remote": "write the Hub id as MODEL",
    "--list": "`quantize formats` lists the formats",
    "--print-supported-models": "the README lists them",
    **dict.fromkeys(("--max-buffer-size", "--use-temp-file", "--no-lazy"), "leave it out, because memory is bounded"),
}


#: Dashes that word processors print in place of hyphens.
_PRINTED_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"


def check_dashes(arguments: Sequence[str]) -> None:
    """Refuse a long option with one dash, which would be read as a short one with a value, and dashes of print.

    Raises:
        UsageError: There is one.
    """
    long = {name for option in ALL for name in option.opts if name.startswith("--")}
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if f"-{name}" in long:
            raise UsageError(f"{name} is written with two dashes: -{name}.")
        if argument[:1] and argument[0] in _PRINTED_DASHES and not os.path.lexists(argument):
            raise UsageError(f"{name} begins with a dash of printed text; type - or -- in its place.")


def sentence_of(error: click.ClickException) -> str:
    """Turn an error in the use of options into a sentence."""
    if isinstance(error, click.NoSuchOption):
        return f"{error.option_name} is not an option; {_instead_of(error.option_name, error.ctx)}."
    if isinstance(error, click.BadOptionUsage):  # Click does not tell more of it than the name
        option = next((option for option in (*ALL, AS_JSON) if error.option_name in option.opts), None)
        if option is not None and option.is_flag:
            return f"{error.option_name} does not take a value; leave the value out."
        if option is not None:
            return f"{error.option_name} needs a value; write {error.option_name} {option.metavar}."
    return f"{error.format_message().rstrip('.')}; `quantize --help` shows how it is used."


def _instead_of(name: str, context: click.Context | None) -> str:
    if name in _OF_OTHERS:
        return _OF_OTHERS[name]
    known = [name for parameter in context.command.params for name in parameter.opts] if context else []
    near = get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.6)
    return f"the nearest is {near[0]}" if near else "`quantize --help` shows all"
