"""Mistakes in options, and the sentence that answers each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

import click

from quantize_cli.cli import measuring
from quantize_cli.cli.commands.advise import EVALUATION
from quantize_cli.cli.options import AGAINST, ALL, AS_JSON, FITS, SAMPLE
from quantize_cli.errors import UsageError

#: Options of other programs (llama-quantize, convert_hf_to_gguf.py and what people expect) -> what to write.
_OF_OTHERS = {
    **dict.fromkeys(
        ("--outtype", "--bits", "--quant", "--quantize", "--quantization", "--qtype", "--ftype", "--type", "--dtype"),
        "write --format NAME, for example --format q4_k_m",
    ),
    **dict.fromkeys(("-q", "-b", "--wbits"), "write --format NAME, for example --format q4_k_m"),
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
    "--evaluation": "`quantize advise MODEL` has it",
    **dict.fromkeys(("--fits", "--tensors"), "`quantize plan MODEL` has it"),
    "--list": "`quantize formats` lists the formats",
    "--print-supported-models": "`quantize architectures` lists them",
    **dict.fromkeys(("--max-buffer-size", "--use-temp-file", "--no-lazy"), "leave it out, because memory is bounded"),
}

#: The options of all commands.
KNOWN = (*ALL, FITS, AS_JSON, AGAINST, SAMPLE, EVALUATION, *measuring.ALL)

#: Dashes that word processors print in place of hyphens.
_PRINTED_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what would be read as the value of an option, or as a word, but is an option.

    Raises:
        UsageError: A long option has one dash or a dash of print, or an option stands where a value is missing.
    """
    options = {name: option for option in KNOWN for name in option.opts}
    for argument, following in pairwise([*arguments, ""]):
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if f"-{name}" in options:
            raise UsageError(f"{name} is written with two dashes: -{name}.")
        if argument[:1] and argument[0] in _PRINTED_DASHES and not os.path.lexists(argument):
            raise UsageError(f"{name} begins with a dash of printed text; type - or -- in its place.")
        if argument in options and not options[argument].is_flag and following in options:
            raise UsageError(_without_value(argument, options[argument]))


def sentence_of(error: click.ClickException) -> str:
    """Turn an error in the use of options into a sentence."""
    if isinstance(error, click.NoSuchOption):
        return f"{error.option_name} is not an option{_instead_of(error.option_name, error.ctx)}."
    if isinstance(error, click.BadOptionUsage):  # Click does not tell more of it than the name
        option = next((option for option in KNOWN if error.option_name in option.opts), None)
        if option is None or option.is_flag:
            return f"{error.option_name} does not take a value; leave the value out."
        return _without_value(error.option_name, option)
    return f"{error.format_message().rstrip('.')}; `quantize --help` shows how it is used."


def _without_value(name: str, option: click.Option) -> str:
    return f"{name} needs a value; write {name} {option.metavar}."


def _instead_of(name: str, context: click.Context | None) -> str:
    """Continue the sentence after "is not an option"."""
    command = context.command if context is not None else click.Command("model", params=[*ALL])
    if command.name != "model" and any(name in option.opts for option in ALL):
        return f" of {command.name}; it belongs to quantize MODEL"
    if name in _OF_OTHERS:
        return f"; {_OF_OTHERS[name]}"
    known = [other for option in command.params if isinstance(option, click.Option) for other in option.opts]
    known += ["--help", "--version"]
    near = get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.7)
    return f"; the nearest is {near[0]}" if near else "; `quantize --help` shows all"
