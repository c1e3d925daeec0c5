"""The texts that are used unless the user brings some."""

from __future__ import annotations

from collections.abc import Callable

from quantize_cli.texts.model import Document
from quantize_cli.texts.recipes.mathematics import exercises
from quantize_cli.texts.recipes.records import records
from quantize_cli.texts.recipes.standard_library import sources, topics
from quantize_cli.texts.written import written

_Maker = Callable[[], tuple[Document, ...]]

#: Kind -> what makes its documents, beside those that were written for it.
_MADE: dict[str, tuple[_Maker, ...]] = {
    "prose": (topics,),
    "chat": (),
    "code": (sources,),
    "mathematics": (exercises,),
    "scripts": (),
    "json": (records,),
}
#: The kinds without a file in `data/`.
_UNWRITTEN = ("json",)


def default_documents() -> tuple[Document, ...]:
    """Return documents of all kinds; the same Python always returns the same, in the same order."""
    documents: list[Document] = []
    for kind, makers in _MADE.items():
        if kind not in _UNWRITTEN:
            documents += written(kind)
        for make in makers:
            documents += make()
    return tuple(documents)
