"""A plan within a budget: the format that is nearest in size gives way, tensor by tensor, to types that costs choose.

That format still decides where no costs are known, and its number is `general.file_type`: so llama-quantize, given this
format and the chosen types as a file, writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from quantize_cli.errors import UsageError, listed
from quantize_cli.gguf_file.header import padded
from quantize_cli.mixes.base import Candidate, Choice, Mix
from quantize_cli.mixes.budget import TYPE_SETS, Costs, choose_within, menu, padded_bytes, smallest_bytes
from quantize_cli.mixes.overrides import TypeOverrides
from quantize_cli.mixes.rules import choose_types, decided_by_rules
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.mixes.traits import ModelTraits
from quantize_cli.mixes.usual_costs import usual_costs
from quantize_cli.planning.budget import Budget, Trial
from quantize_cli.planning.model import Budgeted, Plan

#: The formats that can stand behind a budget, from the smallest; none needs an importance matrix.
_BASES = tuple(
    FORMATS[name]
    for name in ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0")
)
#: How often a plan is made again because its files take more around the tensors than another's; each time it shrinks.
_MOST_TRIES = 16


class MakePlan(Protocol):
    """What makes a plan with a mix, of which some tensors get other types."""

    def __call__(self, mix: Mix, chosen: Mapping[str, Choice]) -> Plan:
        """Make the plan; `chosen` has names of tensors."""
        ...


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a model before they have types, and what types depend on."""

    candidates: Sequence[Candidate]
    measured_as: Sequence[str]  #: the name that each has in a calibration or an importance matrix
    model: ModelTraits
    overrides: TypeOverrides
    weighted: Collection[str]  #: names of those that an importance matrix has
    has_importance: bool

    def choices(self, mix: Mix) -> list[Choice]:
        """Return the choices of a mix and of what the user asks for."""
        return choose_types(self.candidates, mix, self.model, self.overrides, has_importance=self.has_importance)

    def bytes_in(self, mix: Mix) -> dict[str, int]:
        """Return the padded bytes of each tensor in a mix."""
        return {
            candidate.name: padded_bytes(candidate, choice.type)
            for candidate, choice in zip(self.candidates, self.choices(mix), strict=True)
        }


def plan_within(budget: Budget, tensors: Tensors, make: MakePlan) -> Plan:
    """Make the plan whose costs are the least among those whose files are not larger than the budget.

    Raises:
        UsageError: The budget is below the smallest possible file or above the file in F16, or no tensor may have any
            of the types to choose from.
        QuantizeError: `make` refuses, or see `Amount.file_bytes`.
    """
    free = decided_by_rules(tensors.candidates, _BASES[0], tensors.model, tensors.overrides)
    menus = dict(_menus(budget, tensors, free))
    if not menus:
        raise UsageError("No tensor of the model can have any of the types to choose from; allow others with --types.")
    choose = partial(choose_within, tensors.candidates, menus, measured=budget.costs is not None)
    least = smallest_bytes(tensors.candidates, menus)
    trial = make(_BASES[0], choose(least))
    around = trial.file_bytes - sum(padded(tensor.nbytes) for tensor in trial.tensors)
    limit = budget.amount.file_bytes(Trial(trial, around, lambda mix: make(mix, {})))
    _check_bounds(budget, limit, trial.file_bytes, around + sum(tensors.bytes_in(FORMATS["F16"]).values()))
    base, fixed = _base(tensors, menus, limit - around, least)
    room = limit - around - fixed
    for _ in range(_MOST_TRIES):
        if room < least:
            break
        plan = make(base, choose(room))
        if plan.file_bytes <= limit:
            return _finished(plan, budget, limit, base, free - menus.keys())
        room -= plan.file_bytes - limit
    return _finished(trial, budget, limit, _BASES[0], free - menus.keys())


def _menus(budget: Budget, tensors: Tensors, free: Collection[str]) -> Iterator[tuple[str, Costs]]:
    types = budget.types if budget.types is not None or budget.costs is not None else TYPE_SETS["k"]
    usual = usual_costs(tensors.candidates) if budget.costs is None else {}
    for candidate, measured_as in zip(tensors.candidates, tensors.measured_as, strict=True):
        if candidate.name in free:
            costs = usual[candidate.name] if budget.costs is None else budget.costs.get(measured_as)
            if costs and (of_tensor := menu(candidate, costs, types, weighted=candidate.name in tensors.weighted)):
                yield candidate.name, of_tensor


def _base(tensors: Tensors, menus: Mapping[str, Costs], room: int, least: int) -> tuple[Mix, int]:
    """Return the largest format that fits, or the smallest, and the bytes of the tensors that it decides."""
    found = _BASES[0], 0
    for mix in _BASES:
        sizes = tensors.bytes_in(mix)
        fixed = sum(nbytes for name, nbytes in sizes.items() if name not in menus)
        if mix is _BASES[0] or (sum(sizes.values()) <= room and fixed + least <= room):
            found = mix, fixed
    return found


def _check_bounds(budget: Budget, limit: int, lowest: int, highest: int) -> None:
    if lowest <= limit <= highest:
        return
    advice = (
        "allow more, or smaller types with --types"
        if limit < lowest
        else "write --format f16 or --format bf16 in its place"
    )
    raise UsageError(
        f"{budget.amount.said} allows a file of {limit:,} bytes, but the smallest possible has {lowest:,} and the one "
        f"in F16 {highest:,}; {advice}."
    )


def _finished(plan: Plan, budget: Budget, limit: int, base: Mix, unmeasured: Collection[str]) -> Plan:
    """Name the plan by its bits a weight, and tell what was chosen by what."""
    costs = [tensor.cost for tensor in plan.tensors if tensor.cost is not None]
    bits = 8 * sum(tensor.nbytes for tensor in plan.tensors) / max(plan.weights, 1)
    return replace(
        plan,
        format=f"{bits:.2f}BPW",
        budget=Budgeted(budget.amount.said, limit, base.name, None if budget.costs is None else sum(costs)),
        warnings=(*plan.warnings, *_warnings(budget, base, unmeasured)),
    )


def _warnings(budget: Budget, base: Mix, unmeasured: Collection[str]) -> Iterator[str]:
    if budget.costs is None:
        yield (
            "Types are chosen by a fixed table of roles and bits, which does not know this model, because no "
            "calibration is given; `quantize calibrate` measures one for --calibration."
        )
    elif unmeasured:
        yield (
            f"The calibration does not have costs for {len(unmeasured)} tensors ({listed(sorted(unmeasured))}), so "
            f"they get the types of {base.name}."
        )
