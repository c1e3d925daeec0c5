"""The reports of a run with several formats."""

from __future__ import annotations

from quantize_cli.report.model import Report


class Reports(list[Report]):
    """A list of reports that a notebook shows as a table, and that has the forms of a report for all of them."""

    def to_markdown(self) -> str:
        """Return the reports as GitHub-flavoured Markdown."""
        from quantize_cli.report.markdown import render

        return render(self)

    def to_html(self) -> str:
        """Return the reports as one HTML page that needs no other file."""
        from quantize_cli.report.html import render

        return render(self)

    def _repr_html_(self) -> str:
        """Return the comparison that a notebook shows."""
        from quantize_cli.report.html import comparison

        return comparison(self)
