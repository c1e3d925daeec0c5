"""The figures of an evaluation as text, and the tables that its renderers share; ASCII only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from quantize_cli.evaluation.model import Difference, Divergence, Evaluation, FileEvaluation
from quantize_cli.report import figures
from quantize_cli.report.tables import Row, Table
from quantize_cli.texts.model import TextRecord

#: Most decimals of a figure with an error.
_MOST_DECIMALS = 6
#: Most documents that a table names.
_MOST_DOCUMENTS = 4


def with_error(value: float, error: float) -> str:
    """Format a figure to the second digit of its standard error: "0.02820 +- 0.00041"."""
    if not math.isfinite(value):
        return figures.NONE
    if not (math.isfinite(error) and error > 0):
        return nats(value)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), _MOST_DECIMALS)
    return f"{value:.{decimals}f} +- {error:.{decimals}f}"


def nats(value: float) -> str:
    """Format a KLD with four significant digits, without an exponent where it is not tiny."""
    if not math.isfinite(value):
        return figures.NONE
    if value and abs(value) < 1e-6:
        return f"{value:.1e}"
    decimals = max(3 - math.floor(math.log10(abs(value))), 0) if value else 0
    return f"{value:.{decimals}f}"


def kld(held: Divergence) -> str:
    """Format a mean KLD with its error."""
    return with_error(held.mean_kld, held.mean_kld_error)


def same_top(held: Divergence) -> str:
    """Format the share of tokens with the same top token."""
    return f"{100 * held.same_top:.2f} %"


def perplexity(value: float) -> str:
    """Format a perplexity, or NONE where it is infinite."""
    return figures.fixed(value, 3) if math.isfinite(value) else figures.NONE


def worst_kind(file: FileEvaluation) -> tuple[str, Divergence] | None:
    """Find the kind of text with the largest mean KLD, of which NaN is the largest; None without kinds."""
    return max(file.by_kind, key=lambda pair: _order(pair[1].mean_kld), default=None)


def kinds_of(evaluation: Evaluation) -> tuple[str, ...]:
    """List the kinds of text that were scored, in the order of the texts."""
    return tuple(dict.fromkeys(kind for file in evaluation.files for kind, _ in file.by_kind))


def labels(evaluation: Evaluation) -> list[str]:
    """Label all files by their formats, or by their names where a format is unknown or two are the same."""
    formats = [file.format for file in evaluation.files]
    if None in formats or len({*formats}) < len(formats):
        return [figures.printable(PurePath(file.file).stem) for file in evaluation.files]
    return [figures.printable(str(name)) for name in formats]


def title(evaluation: Evaluation) -> str:
    """Name what was compared."""
    count = len(evaluation.files)
    return f"{count} file{'' if count == 1 else 's'} against {evaluation.original}"


def headline(evaluation: Evaluation) -> list[Row]:
    """List the few facts that tell what the figures are of: labels and values."""
    return [
        ("Tokens scored", f"{evaluation.files[0].all.tokens:,}"),
        ("Context", f"{evaluation.context:,}"),
        ("Kinds of text", f"{len(evaluation.texts):,}"),
        ("Computed in", f"{evaluation.dtype} on {evaluation.device}"),
        ("Size of the original", figures.size(evaluation.original_bytes)),
        ("Time", f"{evaluation.seconds:.1f} s"),
    ]


def comparison(evaluation: Evaluation) -> Table:
    """Compare the files, one in a row; the difference from the first file is there if one was measured."""
    several = any(file.from_first for file in evaluation.files)
    header = (
        "File",
        "Format",
        "Bytes",
        "Bits per weight",
        "KLD (nats a token)",
        "99.9 %",
        "Same top token",
        "Perplexity",
        "ln(PPL / original's)",
        *(("KLD less the first file's",) if several else ()),
    )
    rows = [
        (
            file.file,
            file.format or figures.NONE,
            f"{file.bytes:,}",
            figures.fixed(file.bits_per_weight, 2),
            kld(file.all),
            nats(file.all.kld_99_9),
            f"{same_top(file.all)} +- {100 * file.all.same_top_error:.2f}",
            perplexity(file.all.perplexity),
            with_error(file.all.ln_ratio, file.all.ln_ratio_error),
            *((difference(file.from_first),) if several else ()),
        )
        for file in evaluation.files
    ]
    return Table(header, rows, 2)


def difference(held: Difference | None) -> str:
    """Format a difference, or NONE."""
    return figures.NONE if held is None else with_error(held.mean, held.error)


def kinds(evaluation: Evaluation) -> Table:
    """List the mean KLD of each file on each kind of text, and which kind is the worst."""
    names = kinds_of(evaluation)
    rows = [(label, *_by_kind(file, names)) for label, file in zip(labels(evaluation), evaluation.files, strict=True)]
    return Table(("File", "Worst kind", *names), rows, 2)


def _by_kind(file: FileEvaluation, names: Iterable[str]) -> Row:
    worst, held = worst_kind(file), dict(file.by_kind)
    klds = [nats(held[name].mean_kld) if name in held else figures.NONE for name in names]
    return (worst[0] if worst else figures.NONE, *klds)


def spread(evaluation: Evaluation) -> Table:
    """List how the KLD is spread over the tokens of each file."""
    rows = [
        (label, *map(nats, (file.all.median_kld, file.all.mean_kld, file.all.kld_99, file.all.kld_99_9)))
        for label, file in zip(labels(evaluation), evaluation.files, strict=True)
    ]
    return Table(("File", "Median", "Mean", "99 %", "99.9 %"), rows, 1)


def texts(records: Iterable[TextRecord]) -> Table:
    """List the kinds of text with their documents, tokens and hashes."""
    rows = [(record.kind, _documents(record.documents), record.sha256, f"{record.tokens:,}") for record in records]
    return Table(("Kind", "Documents", "SHA-256 of the tokens", "Tokens"), rows, 3)


def _documents(names: Sequence[str]) -> str:
    more = len(names) - _MOST_DOCUMENTS
    return ", ".join(names[:_MOST_DOCUMENTS]) + (f" and {more:,} more" if more > 0 else "")


def _order(value: float) -> float:
    return math.inf if math.isnan(value) else value
