"""The documentation's site: Sphinx reads Markdown through MyST, and `make docs` makes each of its warnings an error.

Sphinx is still released, while the last release of MkDocs is from 2024. It checks each link to a page or a heading, and
it takes the page on Python from the docstrings.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

from quantize_cli.architectures.catalogue import catalogue as models
from quantize_cli.mixes.catalogue import catalogue as formats

ROOT = Path(__file__).resolve().parent.parent
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_SOURCE = f"{_PROJECT['urls']['Homepage']}/blob/main"

project = "quantize"
author = "the quantize-cli authors"
html_title = "quantize"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]

myst_heading_anchors = 4
highlight_language = "none"  # most blocks are commands, tables of output, or rows of a table in the code

default_role = "code"  # what docstrings put between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature has them; the keywords' own page has their types
autodoc_preserve_defaults = True

_LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]*)")


def _tables() -> dict[str, str]:
    """Return the tables that pages take from the code, each by the comment in whose place it comes."""
    of_models = "".join(f"| {row.models} | `{row.class_name}` | {row.architecture} |\n" for row in models())
    of_formats = "".join(
        f"| `{row.name.lower()}` | {row.model_bits_per_weight:.2f} | {row.importance} | {row.good_for} |\n"
        for row in formats()
    )
    return {
        "<!-- table of models -->": "| models | class in config.json | GGUF |\n|---|---|---|\n" + of_models,
        "<!-- table of formats -->": "| format | bits | importance matrix | good for |\n|---|---:|---|---|\n"
        + of_formats,
    }


def _read(_app: Sphinx, page: str, source: list[str]) -> None:
    """Turn relative links that leave docs/ into links to the repository, where those files are, and fill in tables."""
    folder = (ROOT / "docs" / page).parent

    def target(link: re.Match[str]) -> str:
        path = (folder / link[0]).resolve()
        inside = path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT)
        return link[0] if inside else f"{_SOURCE}/{path.relative_to(ROOT).as_posix()}"

    source[0] = _LINK.sub(target, source[0])
    for comment, table in _tables().items():
        source[0] = source[0].replace(comment, table)


def _colons(_app: Sphinx, what: str, _name: str, _held: object, _options: object, lines: list[str]) -> None:
    """Keep the description of an attribute from being read as TYPE: DESCRIPTION."""
    if what == "attribute":
        lines[:] = [line.replace(": ", " \N{EN DASH} ") for line in lines]


def setup(app: Sphinx) -> None:
    """Register the hooks on pages and on docstrings."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _colons, priority=400)  # before Napoleon's
