"""What fits into a memory, for people and as JSON, on standard output."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from quantize_cli.cli import console, table
from quantize_cli.errors import printable
from quantize_cli.report.figures import NONE, fixed, size

if TYPE_CHECKING:
    from quantize_cli.advice.model import Advice, Offer

#: Files of a model that are shown; those that were measured are shown in any case.
_MOST = 3
#: A narrower terminal does not get the column of sizes.
_WIDE = 80

_MEASURED = (
    "KLD is what quantize eval has measured: the mean divergence of a file from its own original, in nats a token. It "
    "compares files of one model; it does not tell which of two models is better."
)
_NOT_MEASURED = (
    "Nothing here is measured, and bits alone do not compare models: measure files with `quantize eval FILE --against "
    "MODEL --json`, and give what it prints with --evaluation."
)


def show(advice: Advice, *, as_json: bool, everything: bool) -> None:
    """Print the advice; without `everything`, the table has the largest files of each model."""
    if as_json:
        console.put(json.dumps(advice.to_dict(), indent=2))
    else:
        console.put("\n".join(map(printable, _lines(advice, everything=everything))))


def _lines(advice: Advice, *, everything: bool) -> Iterator[str]:
    chosen = advice.offers if everything else [*_largest(advice.offers)]
    yield f"What runs in {size(advice.limit)}, the largest model first"
    yield ""
    yield from _table(advice, chosen)
    yield ""
    for text in _facts(advice, len(advice.offers) - len(chosen)):
        yield from textwrap.wrap(text, shutil.get_terminal_size().columns, break_on_hyphens=False)


def _largest(offers: Sequence[Offer]) -> Iterator[Offer]:
    for _, of_model in groupby(offers, key=lambda offer: offer.location):
        for number, offer in enumerate(of_model):
            if number < _MOST or offer.mean_kld is not None:
                yield offer


def _table(advice: Advice, offers: Sequence[Offer]) -> Iterator[str]:
    wide = shutil.get_terminal_size().columns >= _WIDE
    measured = any(offer.mean_kld is not None for offer in offers)
    header = (
        "weights",
        "format",
        "bits",
        *(["size"] if wide else []),
        "headroom",
        *(["KLD"] if measured else []),
        "model",
    )
    rows = [
        (
            _short(offer.parameters),
            (offer.format or NONE).lower(),
            fixed(offer.bits_per_weight, 2),
            *([size(offer.file_bytes)] if wide else []),
            size(advice.headroom(offer)),
            *([fixed(offer.mean_kld, 4)] if measured else []),
            _what(offer),
        )
        for offer in offers
    ]
    return table.lines(header, rows, right=frozenset(range(len(header) - 1)) - {1})


def _what(offer: Offer) -> str:
    """Name the model, or the finished file, with what there is to know before it is chosen."""
    active = offer.active_parameters
    sparse = active is not None and active < offer.parameters
    remarks = [f"{_short(active)} active"] if active is not None and sparse else []
    remarks += ["needs --imatrix"] if "imatrix" in offer.needs else []
    return "; ".join([offer.file or offer.model, *remarks])


def _facts(advice: Advice, left_out: int) -> Iterator[str]:
    contexts = sorted({offer.memory.context for offer in advice.offers})
    tokens = " or ".join(f"{number:,}" for number in contexts)
    yield (
        f"To run a file takes its size, a context of {tokens} tokens (F16) and the compute buffer. The headroom is for "
        "further sequences, images, drivers and other programs."
    )
    for offer in advice.too_large:
        what = offer.file or f"{offer.model} as {(offer.format or NONE).lower()}"
        yield f"{offer.location} does not fit: {what}, its smallest, takes about {size(offer.memory.total)}."
    for location in advice.unknown:
        yield f"{location} is left out, because it is not known what llama.cpp keeps of a context for it."
    if left_out:
        yield f"--all shows {left_out:,} smaller files, too."
    yield _MEASURED if any(offer.mean_kld is not None for offer in advice.offers) else _NOT_MEASURED


def _short(number: int) -> str:
    """Format a number of parameters as people name models: 8.03B, 135M."""
    for unit, sign in ((10**9, "B"), (10**6, "M")):
        if number >= unit:
            return f"{number / unit:.3g}{sign}"
    return f"{number:,}"
