"""Read the texts that a model is trained on, without the layout of HTML and of compressed files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_BLOCKS = frozenset(("p", "div", "h1", "h2", "h3", "h4", "li", "dt", "dd", "tr", "pre", "blockquote", "br", "title"))
_HIDDEN = frozenset(("script", "style"))


class _Paragraphs(HTMLParser):
    """Collects what a reader sees, with an empty line between blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the interface
        self._hidden += tag in _HIDDEN
        if tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN
        if tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def _unwrapped(text: str) -> str:
    """Put each paragraph on one line, as published corpora do."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)


def _of_html(path: Path) -> str:
    parser = _Paragraphs()
    parser.feed(path.read_text(encoding="utf-8", errors="replace"))
    return _unwrapped("".join(parser.pieces))


def _of_compressed(path: Path) -> str:
    return _unwrapped(gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace"))


def _of_plain(path: Path) -> str:
    return path.read_text(encoding="utf-8")


_READERS = {
    ".txt": _of_plain,
    ".raw": _of_plain,
    ".html": _of_html,
    ".gz": _of_compressed,
    ".dz": _of_compressed,  # dictzip, which is gzip
}


def documents(paths: list[Path]) -> Iterator[str]:
    """Read each file once, in a fixed order; of a folder, all files below it of a kind known here."""
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.suffix in _READERS and file.is_file() and not file.is_symlink():
                yield _READERS[file.suffix](file)
