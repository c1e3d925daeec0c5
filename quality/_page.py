"""What was measured of a model as Markdown, which docs/quality.md includes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from _results import Pair, Quality

from quantize_cli.evaluation.model import Divergence
from quantize_cli.report import figures
from quantize_cli.report.evaluations import tables
from quantize_cli.report.markdown import escaped, table
from quantize_cli.report.tables import Row, Table

#: Model -> our file -> how much of the KLD of llama.cpp with an importance matrix is asked for at most, by text.
ASKED: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "smollm2": {
        "budget of Q4_K_M": (0.66,),
        "budget of Q3_K_M": (0.46, 0.75),
        "budget of Q2_K": (0.30,),
        "budget of Q4_K_M, gptq": (0.38,),
        "budget of Q3_K_M, gptq": (0.26, 0.50),
        "budget of Q2_K, gptq": (0.175,),
    },
    "wide-llama": {
        "budget of Q4_K_M, gptq": (0.55,),
        "budget of Q3_K_M, gptq": (0.42,),
        "budget of Q2_K, gptq": (0.35,),
    },
}
#: What rounding in float32 alone may give.
_LEAST_KLD = 1e-6
#: By how many standard errors a file may be worse where no ratio is asked for.
ERRORS = 2


def render(quality: Quality) -> str:
    """Render Markdown with a final newline."""
    parts = [
        f"### {escaped(quality.model)}: formats and methods",
        table(methods(quality)),
        f"### {escaped(quality.model)}: the same bytes",
        table(pairs(quality)),
        f"### {escaped(quality.model)}: how it was measured",
        table(Table(("Fact", ""), list(_facts(quality)), 2)),
    ]
    return "\n\n".join(parts) + "\n"


def methods(quality: Quality) -> Table:
    """List all files and methods, those with the most bytes first."""
    files = sorted(zip(quality.evaluation.files, quality.others, strict=True), key=lambda held: -held[0].bytes)
    second = any(other is not None for other in quality.others)
    header = (
        "Format or method",
        "Bits a weight",
        "Bytes of the weights",
        "Perplexity",
        "KLD",
        "Same top token",
        *(("KLD, other text",) if second else ()),
    )
    rows = [
        (
            file.format or file.file,
            figures.fixed(file.bits_per_weight, 2),
            f"{file.bytes:,}",
            tables.perplexity(file.all.perplexity),
            _kld(file.all),
            tables.same_top(file.all),
            *((figures.NONE if other is None else _kld(other),) if second else ()),
        )
        for file, other in files
    ]
    return Table(header, rows, 1)


def pairs(quality: Quality) -> Table:
    """List the pairs, on each text."""
    header = (
        "llama.cpp's file",
        "Our file",
        "Text",
        "Asked",
        "",
        "Their bytes",
        "Our bytes",
        "Their KLD",
        "Our KLD",
        "Difference",
        "Ratio",
    )
    rows = [_row(quality.model, pair, number) for pair in quality.pairs for number in range(len(pair.texts))]
    return Table(header, rows, 5)


def verdict(model: str, pair: Pair, number: int) -> tuple[str, bool | None]:
    """Tell what is asked for on the text of this number, and whether it is reached; None if nothing is asked for.

    What is asked of a model in `ASKED` only counts with a text of which one half calibrates.
    """
    compared = pair.texts[number]
    if model not in ASKED:
        return f"not worse by {ERRORS} errors", compared.difference.mean <= ERRORS * compared.difference.error
    by_text = ASKED[model].get(pair.ours, ()) if pair.like_for_like else (1.0,)
    asked = by_text[number : number + 1] if len(pair.texts) > 1 else ()
    return (f"at most {asked[0]:.3g}", compared.ratio <= asked[0]) if asked else ("", None)


def _row(model: str, pair: Pair, number: int) -> Row:
    compared = pair.texts[number]
    asked, kept = verdict(model, pair, number)
    return (
        pair.theirs,
        pair.ours,
        compared.text,
        asked,
        {None: "", True: "ok", False: "short"}[kept],
        f"{pair.their_bytes:,}",
        f"{pair.our_bytes:,}",
        _kld(compared.theirs),
        _kld(compared.ours),
        tables.difference(compared.difference),
        f"{compared.ratio:.3f}",
    )


def _kld(held: Divergence) -> str:
    """Format a mean KLD with its error, or what it is below where float32 does not tell it from 0."""
    return tables.kld(held) if held.mean_kld >= _LEAST_KLD else f"below {_LEAST_KLD:.6f}"


def _facts(quality: Quality) -> Iterator[Row]:
    evaluation, setting = quality.evaluation, quality.setting
    yield "Date", setting.date
    yield "Machine", setting.machine
    yield "Versions", ", ".join(f"{name} {version}" for name, version in setting.versions.items())
    without = ", without the calibration, which was there" if quality.reused else ""
    yield "Time", f"{quality.seconds / 60:.1f} minutes{without}"
    yield "Weights, SHA-256", quality.weights_sha256
    first = evaluation.files[0]
    yield "Perplexity of the original", tables.perplexity(first.all.original_perplexity)
    scored = [f"{first.all.tokens:,}", *(f"{other.tokens:,} of another kind" for other in quality.others[:1] if other)]
    yield "Tokens scored", f"{' and '.join(scored)}, in sequences of {evaluation.context:,}"
    yield "Computed in", f"{evaluation.dtype} on {evaluation.device}"
    for record in quality.calibration:
        yield f"Calibrated on {record.kind}", f"{record.tokens:,} tokens, SHA-256 {record.sha256}"
    for record in evaluation.texts:
        yield f"Measured on {record.kind}", f"{record.tokens:,} tokens, SHA-256 {record.sha256}"
    for text, share in quality.overlaps:
        yield f"Sequences of 13 words of {text} that the calibration has too", f"{100 * share:.2f} %"
