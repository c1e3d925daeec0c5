"""How the file of a run is used: llama.cpp's command, and a Modelfile for Ollama."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.sinks import replacing
from quantize_cli.report.model import Report

#: Architectures of text encoders; llama.cpp has another command for them.
_ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llama-embed",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)
#: Other architectures that llama-cli does not take -> llama.cpp's command.
_OTHERS = {
    "clip": "llama-mtmd-cli -m MODEL.gguf --mmproj {file}",
    "wavtokenizer-dec": "llama-tts -m MODEL.gguf --model-vocoder {file}",
}


def llama_command(report: Report) -> str | None:
    """Return the command of llama.cpp that runs the model, ready to paste; None for standard output.

    Of a model in several files, llama.cpp takes the first.
    """
    if report.output == "-":
        return None
    usual = "llama-embedding -m {file} -p TEXT" if report.architecture in _ENCODERS else "llama-cli -m {file}"
    return _OTHERS.get(report.architecture, usual).format(file=shlex.quote(report.output))


def write_modelfiles(reports: Sequence[Report], *, force: bool) -> list[Path]:
    """Write a Modelfile beside the file of each report, and return their paths; it holds the file's name alone.

    Ollama takes the chat template and the parameters from the GGUF file.

    Raises:
        UsageError: See `modelfile`.
        OutputError: A Modelfile cannot be written, or exists and `force` is not set.
    """
    texts = {Path(report.output).with_suffix(".Modelfile"): modelfile(report) for report in reports}
    try:
        with replacing([*texts], force=force, option="--modelfile") as sinks:
            for sink, text in zip(sinks, texts.values(), strict=True):
                sink.write(os.fsencode(text))
    except OutputError as error:
        raise OutputError(f"{str(error).removesuffix('.')}; the model itself is complete.") from error
    return [*texts]


def modelfile(report: Report) -> str:
    """Return the text of a Modelfile for the file of a report.

    Raises:
        UsageError: The model is not in one file, or its name has characters that a Modelfile cannot hold.
    """
    name = Path(report.output).name
    if report.output == "-" or len(report.files) > 1:
        raise UsageError("A Modelfile names one GGUF file; leave --modelfile out, or write the model to one file.")
    if not name.isprintable():
        raise UsageError(f"{name!a} has characters that a Modelfile cannot hold; choose another name with -o.")
    return f"FROM ./{name}\n"
