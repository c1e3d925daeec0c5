"""The tables of a calibration, which its renderers share; ASCII only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from quantize_cli.report import figures
from quantize_cli.report.calibrations.coverage import expert_coverage, never_hit
from quantize_cli.report.calibrations.outliers import LIMIT, by_layer, outlier_channels
from quantize_cli.report.calibrations.sensitivity import REFERENCE, Cost, costs_near, totals
from quantize_cli.report.evaluations.tables import nats
from quantize_cli.report.places import place_of
from quantize_cli.report.tables import Row, Table
from quantize_cli.sensitivity.model import Calibration

#: Most experts that a cell names.
_MOST_EXPERTS = 12
#: Most tensors that a warning names.
_MOST_NAMES = 8


def title(model: str) -> str:
    """Name the page."""
    return f"Calibration of {model}"


def headline(calibration: Calibration) -> list[Row]:
    """List the few figures that sum up a calibration: labels and values."""
    coverage = expert_coverage(calibration.tensors)
    measured = [cost for cost in costs_near(calibration.tensors) if cost is not None]
    return [
        ("Architecture", calibration.architecture),
        ("Tokens", f"{sum(text.tokens for text in calibration.texts):,}"),
        ("Sequences", f"{calibration.sequences:,} of {calibration.context:,}"),
        ("Tensors", f"{len(calibration.tensors):,}"),
        ("Tensors with sensitivities", f"{len(measured):,}"),
        *([("Outlier channels", f"{len(outlier_channels(calibration.blocks)):,}")] if calibration.blocks else []),
        *([("Experts never hit", f"{sum(len(row.never) for row in coverage):,}")] if coverage else []),
    ]


def most_sensitive(calibration: Calibration, count: int) -> Table:
    """List the tensors that cost most at REFERENCE; the table is empty if nothing was measured."""
    costs = _measured(calibration)
    whole = sum(cost.nats for cost in costs)
    first = sorted(costs, key=lambda cost: -cost.nats)[:count]
    rows = [(cost.name, cost.type, nats(cost.nats), _share(cost.nats, whole)) for cost in first]
    return Table(("Tensor", "Type", "Nats a token", "Share"), rows, 2)


def kinds(calibration: Calibration) -> Table:
    """Add up the costs of each kind of tensors, the largest first."""
    costs = _measured(calibration)
    whole = sum(cost.nats for cost in costs)
    grouped: dict[str, list[Cost]] = defaultdict(list)
    for cost in costs:
        grouped[place_of(cost.name)[0]].append(cost)
    sums = sorted(
        ((sum(cost.nats for cost in held), kind, held) for kind, held in grouped.items()), key=lambda row: -row[0]
    )
    rows = [
        (
            kind,
            ", ".join(dict.fromkeys(cost.type for cost in held)),
            f"{len(held):,}",
            nats(total),
            _share(total, whole),
        )
        for total, kind, held in sums
    ]
    return Table(("Kind", "Types", "Tensors", "Nats a token", "Share"), rows, 2)


def types(calibration: Calibration) -> Table:
    """List what it would cost to store all tensors in one type."""
    rows = [(type_, f"{count:,}", nats(total)) for type_, count, total in totals(calibration.tensors)]
    return Table(("All tensors in", "Tensors measured", "Nats a token"), rows, 1)


def channels(calibration: Calibration) -> Table:
    """List the outlier channels, the most extreme first."""
    header = ("Channel", "From layer", "Layers", "Largest magnitude", "Multiple of the median")
    rows = [
        (f"{held.channel}", f"{held.first_layer}", f"{held.layers}", f"{held.magnitude:.4g}", f"{held.ratio:.1f}")
        for held in outlier_channels(calibration.blocks)
    ]
    return Table(header, rows, 0)


def layers(calibration: Calibration) -> Table:
    """List the largest hidden channels of each layer, as channel: magnitude."""
    header = ("Layer", "Largest channels", "Median magnitude", "Outliers", f"Channels from {LIMIT} on")
    rows = [
        (
            f"{number}",
            ", ".join(f"{channel}: {magnitude:.4g}" for channel, magnitude in held.largest),
            f"{held.median:.4g}",
            f"{held.outliers:,}",
            f"{held.from_limit:,}",
        )
        for number, held in enumerate(by_layer(calibration.blocks))
    ]
    return Table(header, rows, 2)


def experts(calibration: Calibration) -> Table:
    """List the layers with experts, and those experts that were hardly hit; the table is empty without experts."""
    header = ("Layer", "Tensors", "Never hit", "Hardly hit", "Experts", "Fewest tokens", "Even share")
    rows = [
        (
            held.layer,
            ", ".join(held.kinds),
            _numbers(held.never),
            _numbers(held.hardly),
            f"{held.experts:,}",
            f"{held.least:,.0f}",
            f"{held.even:,.0f}",
        )
        for held in expert_coverage(calibration.tensors)
    ]
    return Table(header, rows, 4)


def warnings(calibration: Calibration) -> tuple[str, ...]:
    """List what a user should know, one sentence each."""
    found = []
    unseen = never_hit(calibration.tensors)
    if unseen:
        more = f" and {len(unseen) - _MOST_NAMES:,} more" if len(unseen) > _MOST_NAMES else ""
        found.append(
            f"No token has reached {', '.join(unseen[:_MOST_NAMES])}{more}; nothing is known of their columns."
        )
    rows = expert_coverage(calibration.tensors)
    never, hardly = sum(len(row.never) for row in rows), sum(len(row.hardly) for row in rows)
    if never or hardly:
        found.append(
            f"In {sum(bool(row.never or row.hardly) for row in rows):,} layers, {never:,} experts were never hit and "
            f"{hardly:,} hardly; give more text, or text of more kinds, with --text."
        )
    return tuple(found)


def outlier_summary(calibration: Calibration) -> str:
    """Tell in one line how many channels are outliers, and where they begin."""
    found = outlier_channels(calibration.blocks)
    if not found:
        return f"no channel reaches {LIMIT:g} times the median of its layer"
    first = found[0]
    others = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    return (
        f"channel {first.channel}{others}, from layer {min(held.first_layer for held in found)} on; the largest is "
        f"{first.magnitude:.4g}, {first.ratio:.1f} times the median of its layer"
    )


def _measured(calibration: Calibration) -> list[Cost]:
    return [cost for cost in costs_near(calibration.tensors) if cost is not None]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole > 0 else figures.NONE


def _numbers(numbers: Sequence[int]) -> str:
    more = len(numbers) - _MOST_EXPERTS
    return (", ".join(map(str, numbers[:_MOST_EXPERTS])) or figures.NONE) + (f" and {more:,} more" if more > 0 else "")


#: What a sensitivity is, for people.
ABOUT_COSTS = (
    f"The sensitivity of a tensor is the KLD that it adds when it is stored in {REFERENCE}, or in the measured type "
    "nearest to it in bits. Sensitivities add up over tensors, roughly."
)
#: What an outlier is, for people.
ABOUT_OUTLIERS = (
    f"A channel of the hidden state is an outlier in a layer if its largest magnitude is at least {LIMIT:g} times the "
    f"median of the layer's channels. LLM.int8() takes {LIMIT} as a magnitude; such channels are counted beside it."
)
