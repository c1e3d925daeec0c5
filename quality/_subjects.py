"""The models that are measured, and the texts that each is calibrated and measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from smollm2 import write_smollm2

from quantize_cli.texts.defaults import default_documents
from quantize_cli.texts.files import documents_of_files, halves
from quantize_cli.texts.model import Document, Part
from quantize_cli.texts.parts import part_of

_EXAMPLE = Path(__file__).parents[1] / "examples" / "shakespeare-llama"
#: What part C of our own texts is called.
_PART_C = "part C of the built-in texts"


@dataclass(frozen=True, slots=True)
class Text:
    """Documents that figures are told of together."""

    title: str
    documents: tuple[Document, ...]
    tokens: int  #: the most that are taken


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with its texts, which share no document."""

    name: str
    folder: Path  #: of the checkpoint
    context: int  #: tokens of a sequence
    calibration: tuple[Path, ...]  #: files; none means part A of our own texts
    calibration_tokens: int | None  #: the most; None means what `quantize calibrate` takes
    texts: tuple[Text, ...]  #: the reported one, and perhaps one of another kind


def smollm2(work: Path, text: Path | None, tokens: int, calibration_tokens: int | None) -> Subject:
    """Make SmolLM2, and take it as any original."""
    folder = write_smollm2(work / "checkpoint")
    return replace(original(work, folder, text, tokens, calibration_tokens), name="smollm2")


def original(work: Path, folder: Path, text: Path | None, tokens: int, calibration_tokens: int | None) -> Subject:
    """Take a checkpoint. One half of the text calibrates, and the other is reported; without one, our own do both."""
    calibration, texts = _halved(text, work, tokens) if text is not None else ((), (_part_c(tokens),))
    return Subject(folder.resolve().name, folder, 512, calibration, calibration_tokens, texts)


def example(work: Path, tokens: int, calibration_tokens: int | None) -> Subject:
    """Take the example of this repository, with the text that its training left out."""
    calibration, texts = _halved(_EXAMPLE / "held_out.txt", work, tokens)
    return Subject("shakespeare-llama", _EXAMPLE, 256, calibration, calibration_tokens, texts)


def _halved(text: Path, work: Path, tokens: int) -> tuple[tuple[Path, ...], tuple[Text, ...]]:
    """Return a file with the first half, and what is measured on: the second half, and text of another kind."""
    (document,) = documents_of_files([text])
    first, second = halves(document)
    calibration = work / f"{document.kind}-first-half.txt"
    calibration.write_text(f"{first.content}\n", "utf-8", newline="")
    return (calibration,), (Text(f"second half of {text.name}", (second,), tokens), _part_c(tokens // 2))


def _part_c(tokens: int) -> Text:
    return Text(_PART_C, part_of(default_documents(), Part.REPORT), tokens)
