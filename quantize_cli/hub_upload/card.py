"""The model card of an upload: front matter for the Hub, a table of the files with their errors, and how to run one.

The table stands between two comments. A later upload to the same repository replaces what stands between them and
nothing else, so rows of other files and whatever people write around the table stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from quantize_cli.report import figures
from quantize_cli.report.model import FileReport, Report

_BEGIN, _END = "<!-- quantize-cli: files -->", "<!-- quantize-cli: end of files -->"

_HEADER = (
    "File",
    "Format",
    "Size",
    "Bits per weight",
    "SQNR (dB)",
    "Relative RMSE",
    "Weighted relative RMSE",
    "SHA-256",
)
_TABLE = (f"| {' | '.join(_HEADER)} |", f"| {' | '.join(['---', '---', *['---:'] * 5, '---'])} |")


def render(reports: Sequence[Report], repository: str, license: Mapping[str, str]) -> str:
    """Render the card of a repository that does not have one.

    Args:
        reports: Those of one run, at least one.
        repository: ORG/NAME, where the card will stand.
        license: The entries of the source's own card that tell its license, by their names: `license`, `license_name`,
            `license_link`.
    """
    first = reports[0]
    source = first.source.repository
    # The Hub refuses a card with a license that it does not know; it has checked that of a model of its own.
    base = {"base_model": source, "base_model_relation": "quantized", **license} if source is not None else {}
    tags = ["gguf", "llama.cpp", *(["imatrix"] if first.imatrix is not None else [])]
    made_from = _code(source if source is not None else first.model)
    if first.source.commit is not None:
        made_from += f", commit {_code(first.source.commit)}"
    return "\n".join(
        [
            *("---", _front_matter({**base, "tags": tags}) + "---"),
            *(f"# GGUF files of {_code(first.model)}", ""),
            f"{first.generator} made these files from {made_from}. They run in llama.cpp and in programs that use it.",
            *("", *_block(reports, {}), ""),
            "The errors compare the weights that a reader decodes with those of the source. Weighted errors count each "
            "weight by the importance of its column; they exist where an importance matrix was used. The larger the "
            "SQNR, and the smaller the relative RMSE, the closer the file is to the source.",
            *("", "## Run it", "", *_commands(first, repository), ""),
        ]
    )


def renewed(card: str, reports: Sequence[Report]) -> str | None:
    """Return `card` with the rows of `reports`; None if it does not have the table, because a person wrote it."""
    before, begin, rest = card.partition(_BEGIN)
    table, end, after = rest.partition(_END)
    if not (begin and end):
        return None
    kept = {line.split("|")[1]: line for line in table.splitlines()[3:] if line.startswith("| [")}
    return before + "\n".join(_block(reports, kept)) + after


def _front_matter(values: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))


def _block(reports: Sequence[Report], kept: Mapping[str, str]) -> list[str]:
    """Return the lines of the table, whose rows replace those of the same files."""
    rows = (_row(report, file) for report in reports for file in report.files)
    return [_BEGIN, *_TABLE, *{**kept, **{row.split("|")[1]: row for row in rows}}.values(), _END]


def _row(report: Report, file: FileReport) -> str:
    name = Path(file.path).name
    cells = (
        f"[{_code(name)}]({quote(name)})",
        report.format,
        figures.size(file.bytes),
        figures.fixed(report.totals.bits_per_weight, 2),
        figures.sqnr(report.totals.error),
        figures.percent(report.totals.error.relative_rmse),
        figures.weighted(report.totals.weighted_error),
        f"`{file.sha256}`",
    )
    return f"| {' | '.join(cells)} |"


def _commands(report: Report, repository: str) -> list[str]:
    """Return lines for a shell; names of files are quoted for it."""
    name = Path(report.files[0].path).name
    quoted = "'" + figures.printable(name).replace("'", "'\\''") + "'"
    lines = [f"llama-cli --hf-repo {repository} --hf-file {quoted}"]
    # Ollama looks for the name of a format in the file's, and does not take a model in parts.
    if len(report.files) == 1 and report.format in name and report.budget is None:
        lines.append(f"ollama run hf.co/{repository}:{report.format}")
    return ["```sh", *lines, "```"]


def _code(text: str) -> str:
    """Return text from a user or a file as code, which Markdown does not read as markup, for a table's cell too."""
    plain = figures.printable(text).replace("`", "'").replace("|", "¦")
    return f"`{plain}`"
