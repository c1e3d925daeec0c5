"""What a method gave, as phrases and tables that all renderers share."""

from __future__ import annotations

from collections.abc import Sequence

from quantize_cli.errors import listed, printable
from quantize_cli.evaluation.model import Difference
from quantize_cli.report.figures import NONE
from quantize_cli.report.model import MethodReport

HEADER = ("Compared", "Bytes of tensors", "KLD (nats a token)", "Error", "Difference", "Error")


def title(method: MethodReport) -> str:
    """Name the section: "gptq, compared on part C of the built-in texts"."""
    return f"{method.name}, compared on {method.text}"


def verdict(method: MethodReport) -> str:
    """Tell in a sentence which file was written."""
    ours, *others = method.files
    if method.rounded_by == method.name:
        shares = [
            f"{ours.divergence.mean_kld / other.divergence.mean_kld:.2f} of that of {other.title}"
            for other in others
            if other.divergence.mean_kld > 0
        ]
        return f"The file holds the blocks of {method.name}; its KLD is {' and '.join(shares) or 0}."
    return f"{method.name} is not better here, so the file holds {method.kept}."


def counts(method: MethodReport) -> str:
    """Count the tensors by whose blocks are better, by inputs of texts that are held out."""
    parts = [f"the blocks of {method.name} are better in {len(method.chosen):,} tensors"]
    if method.searched:
        parts.append(f"those of the reference's search in {len(method.searched):,}")
    if method.foldings:
        parts.append(f"scales are folded in {method.foldings:,} places")
    if method.without:
        parts.append(f"{len(method.without):,} cannot be rounded by it ({printable(listed(method.without))})")
    return f"{'; '.join(parts)}."


def rows(method: MethodReport) -> list[Sequence[str]]:
    """List the files that were compared, the method's first."""
    return [
        (
            held.title,
            f"{held.nbytes:,}",
            f"{held.divergence.mean_kld:.5f}",
            f"{held.divergence.mean_kld_error:.5f}",
            *_difference(held.difference),
        )
        for held in method.files
    ]


def _difference(held: Difference | None) -> tuple[str, str]:
    return (NONE, NONE) if held is None else (f"{held.mean:+.5f}", f"{held.error:.5f}")
