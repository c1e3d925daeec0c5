"""What all HTML pages share: a page that needs no other file, and the markup of its parts.

A page holds all its figures as HTML; scripts add charts. Its policy forbids any other script, and forbids to load
anything.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from quantize_cli.report import figures, tables
from quantize_cli.report.json_report import as_json

#: Scripts of every page in `assets/`: that of its head, the library for charts, and the first at its end.
_FIRST = "early.js"
_CHARTS = "echarts/echarts.min.js"
_DATA = "data.js"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; {allowed}">
<title>{title}</title>
<style>
{style}</style>
{first}
</head>
<body>
<main>
{body}
</main>
<script type="application/octet-stream" id="data">{data}</script>
{last}
</body>
</html>
"""


def page(title: str, body: Sequence[str], data: str, scripts: Sequence[str]) -> str:
    """Make a page with a final newline.

    Args:
        title: Plain text.
        body: Markup.
        data: What the scripts read, from `packed`.
        scripts: Their names in `assets/`, which come after those of every page.
    """
    first, *last = asset(_FIRST), asset(_CHARTS), "".join(map(asset, (_DATA, *scripts)))
    return _PAGE.format(
        title=escaped(title),
        allowed=f"script-src {' '.join(map(_policy, (first, *last)))}",
        style=asset("style.css"),
        first=_script(first),
        body="\n".join(body),
        data=data,
        last="\n".join(map(_script, last)),
    )


def packed(value: Any) -> str:
    """Pack the data of a page: JSON, compressed by gzip, in base64, which cannot become markup.

    The same value gives the same text.
    """
    text = json.dumps(as_json(value), separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def footer(generator: str) -> str:
    """Name the program that wrote the page."""
    return note(f"Written by {generator}.")


def note(text: str) -> str:
    """Make a remark of a sentence or two."""
    return f'<p class="faint">{escaped(text)}</p>'


def warning(text: str) -> str:
    """Make a warning."""
    return f'<p class="warning"><b>Warning:</b> {escaped(text)}</p>'


def chart(name: str, static: str = "") -> str:
    """Make room for a chart that a script draws; `static` is the markup that it replaces."""
    return f'<div class="chart" data-chart="{name}">{static}</div>'


def tiles(rows: Sequence[tables.Row]) -> str:
    """Show labels and values side by side."""
    shown = "".join(f"<div><dt>{escaped(label)}</dt><dd>{escaped(value)}</dd></div>" for label, value in rows)
    return f'<dl class="tiles">{shown}</dl>'


def folded(title: str, held: tables.Table) -> str:
    """Show a table when its title is chosen; a table without rows is left out."""
    return f"<details><summary>{escaped(title)}</summary>{table(held)}</details>" if held.rows else ""


def heading(level: int, text: str) -> str:
    """Make a heading."""
    return f"<h{level}>{escaped(text)}</h{level}>"


def table(held: tables.Table) -> str:
    """Make a table that scrolls where it is too wide."""
    rows = [_row("td", row, held.text_columns) for row in held.rows]
    head = _row("th", held.header, held.text_columns)
    return "\n".join(
        ['<div class="scroll"><table>', f"<thead>{head}</thead>", "<tbody>", *rows, "</tbody>", "</table></div>"]
    )


def escaped(text: str) -> str:
    """Make text markup that shows it, without control characters."""
    return html.escape(figures.printable(text))


def asset(name: str) -> str:
    """Read a file of `assets/`."""
    return resources.files("quantize_cli.report").joinpath("assets", name).read_text(encoding="utf-8")


def _row(tag: str, cells: Sequence[str], text_columns: int) -> str:
    texts = [f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells[:text_columns]]
    numbers = [f'<{tag} class="n">{escaped(cell)}</{tag}>' for cell in cells[text_columns:]]
    return "".join(["<tr>", *texts, *numbers, "</tr>"])


def _script(text: str) -> str:
    return f"<script>{text}</script>"


def _policy(script: str) -> str:
    """Allow exactly this script: its SHA-256 as a source expression of the Content Security Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
