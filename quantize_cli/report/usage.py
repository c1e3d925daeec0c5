"""How the file of a run is used: llama.cpp's command, and a Modelfile for Ollama."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from quantize_cli.errors import OutputError, UsageError
from quantize_cli.outputs.checks import check_output
from quantize_cli.outputs.sinks import replacing
from quantize_cli.report.model import Report

#: The option that asks for a Modelfile.
_OPTION = "--modelfile"

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


def check_modelfiles(outputs: Sequence[str], parts: int, *, force: bool) -> None:
    """Refuse, before a long run, Modelfiles that could not be written after it.

    Args:
        outputs: The paths of the GGUF files, of one for each format.
        parts: Number of files of each format.
        force: Whether older Modelfiles are overwritten.

    Raises:
        UsageError: A format has several files, or a name has characters that a Modelfile cannot hold.
        OutputError: See `check_output`.
    """
    if parts > 1:
        raise UsageError("A Modelfile names one GGUF file; leave --modelfile out, or write the model to one file.")
    for output in outputs:
        _text(output)
        path = _path(output)
        if path.parent.exists():  # the run makes a folder that is missing
            check_output(path, force=force, option=_OPTION)


def write_modelfiles(reports: Sequence[Report], *, force: bool) -> list[Path]:
    """Write a Modelfile beside the file of each report, and return their paths; it holds the file's name alone.

    Ollama takes the chat template from the GGUF file.

    Raises:
        UsageError: See `check_modelfiles`.
        OutputError: A Modelfile cannot be written, or exists and `force` is not set.
    """
    texts = {_path(report.output): _text(report.output) for report in reports}
    try:
        with replacing([*texts], force=force, option=_OPTION) as sinks:
            for sink, text in zip(sinks, texts.values(), strict=True):
                sink.write(os.fsencode(text))
    except OutputError as error:
        raise OutputError(f"{str(error).removesuffix('.')}; the model itself is complete.") from error
    return [*texts]


def _path(output: str) -> Path:
    path = Path(output)
    return path.with_name(f"{path.name.removesuffix('.gguf')}.Modelfile")


def _text(output: str) -> str:
    name = Path(output).name
    if not name.isprintable():
        raise UsageError(f"{name!a} has characters that a Modelfile cannot hold; choose another name with -o.")
    return f"FROM ./{name}\n"
