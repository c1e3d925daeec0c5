"""Write the README's table of models from the code's; `--check` only tells whether it is up to date."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from quantize_cli.architectures.catalogue import catalogue

README = Path(__file__).resolve().parent.parent / "README.md"
HEAD = "| models | `architectures` in config.json | GGUF |\n|---|---|---|\n"


def table() -> str:
    """Return the rows of the table; classes of the same models and architecture share one."""
    rows = groupby(catalogue(), key=lambda facts: (facts.models, facts.architecture))
    return "".join(
        f"| {models} | {', '.join(f'`{facts.class_name}`' for facts in held)} | {architecture} |\n"
        for (models, architecture), held in rows
    )


def renewed(readme: str) -> str:
    """Return the README with the table of the code."""
    before, rest = readme.split(HEAD)
    _, end, after = rest.partition("\n\n")
    return f"{before}{HEAD}{table().rstrip()}{end}{after}"


if __name__ == "__main__":
    text = README.read_text()
    if "--check" not in sys.argv:
        README.write_text(renewed(text))
    elif text != renewed(text):
        sys.exit("README.md lists other models than the code; run python tools/readme_models.py.")
