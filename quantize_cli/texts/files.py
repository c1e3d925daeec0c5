"""Texts of the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from quantize_cli.checkpoints.reading import opened, reading
from quantize_cli.errors import CheckpointError
from quantize_cli.texts.model import Document

#: The largest file: some 4 million tokens, far more than calibrations and evaluations take.
MAX_BYTES = 16 << 20


def documents_of_files(paths: Iterable[str | os.PathLike[str]]) -> tuple[Document, ...]:
    """Read UTF-8 text files, each as one document whose kind is the file's name without its ending.

    One line break at the end is left out, as llama.cpp's tools do.

    Raises:
        CheckpointError: A file is missing, cannot be read, is empty, too large, or not UTF-8 text.
    """
    return tuple(_document(Path(path)) for path in paths)


def _document(path: Path) -> Document:
    with reading(path):
        if not path.exists():
            raise CheckpointError(f"The text {path} does not exist; check the path.")
        if path.is_dir():
            raise CheckpointError(f"The text {path} is a folder; give a text file.")
    with opened(path) as file:
        content = file.read(0, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CheckpointError(
            f"The text {path} is larger than {MAX_BYTES >> 20} MiB, which is more than is used; give a part of it."
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"The text {path} is not UTF-8 at byte {error.start:,}; convert it, or give another file."
        ) from error
    if not text.strip():
        raise CheckpointError(f"The text {path} is empty; give a file with text.")
    return Document(os.fspath(path), path.stem, text.removesuffix("\n"))


def halves(document: Document) -> tuple[Document, Document]:
    r"""Cut a text into two documents, the first of which has half of the lines, rounded down; lines end with "\n".

    Raises:
        CheckpointError: The text does not have two lines.
    """
    if not isinstance(document.content, str):
        raise TypeError(f"{document.name} is a conversation")
    lines = document.content.split("\n")
    if len(lines) < 2:
        raise CheckpointError(f"The text {document.name} is one line, so it cannot be halved; give a text of several.")
    middle = len(lines) // 2
    first, second = "\n".join(lines[:middle]), "\n".join(lines[middle:])
    return (
        replace(document, name=f"{document.name} (first half)", content=first),
        replace(document, name=f"{document.name} (second half)", content=second),
    )
