"""Texts that come with every Python: sources of the standard library, and its reference of the language.

They are Python's own and under its licence, so they are read where they are and not shipped. They differ between
versions of Python.
"""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from quantize_cli.texts.model import Document

#: Modules of different styles; none of them is generated, and all are old enough to stay.
_MODULES = (
    "bisect",
    "colorsys",
    "csv",
    "fnmatch",
    "fractions",
    "heapq",
    "queue",
    "sched",
    "shlex",
    "textwrap",
    "zipapp",
)
#: Sections of the reference with much prose.
_TOPICS = ("assignment", "compound", "customization", "exceptions", "formatstrings", "naming", "objects", "with")
#: The most letters of one source, so that no module outweighs the others.
_MOST = 8000


def sources() -> tuple[Document, ...]:
    """Read modules of the standard library; those whose source is not installed are left out."""
    return tuple(_sources())


def _sources() -> Iterator[Document]:
    for name in _MODULES:
        spec = find_spec(name)
        path = Path(spec.origin) if spec is not None and spec.origin else None
        if path is not None and path.suffix == ".py" and path.is_file():
            with tokenize.open(path) as file:
                yield Document(f"code/{name} of Python", "code", _start(file.read()))


def topics() -> tuple[Document, ...]:
    """Read sections of Python's reference of the language; it is left out where it is not installed."""
    if find_spec("pydoc_data") is None:
        return ()
    texts: dict[str, str] = import_module("pydoc_data.topics").topics
    return tuple(Document(f"prose/{name} of Python", "prose", _start(texts[name])) for name in _TOPICS if name in texts)


def _start(text: str) -> str:
    """Return the first lines, as many as fit."""
    if len(text) <= _MOST:
        return text.strip("\n")
    return text[: text.rindex("\n", 0, _MOST)].strip("\n")
