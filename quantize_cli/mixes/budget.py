"""Types by a budget of bytes: what each may cost a tensor, and the choice whose costs add up to the least. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.header import padded
from quantize_cli.gguf_file.types import GGML_TYPES, WRITABLE_TYPES, UseOfImportance
from quantize_cli.mixes.allocation import Option, least_cost
from quantize_cli.mixes.base import Candidate, Choice
from quantize_cli.mixes.fallback import fits
from quantize_cli.mixes.rules import needs_importance
from quantize_cli.mixes.tensor_types import find_type

#: GGML type -> what it costs to store a tensor in it, in nats a token, or in a unit of its own without a calibration.
Costs = Mapping[str, float]

_K = frozenset({"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0"})
_LEGACY = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1"})
_16_BITS = frozenset({"F16", "BF16"})
#: Rows of a multiple of so many weights can have any of `_K`.
_K_BLOCK = 256


@dataclass(frozen=True, slots=True)
class TypeSet:
    """Types to choose from."""

    types: frozenset[str]
    other_rows: frozenset[str] = frozenset()  #: types for rows alone that are not whole blocks of 256

    def allows(self, type_name: str, columns: int) -> bool:
        """Tell whether rows of `columns` weights may have the type."""
        return type_name in self.types or (type_name in self.other_rows and columns % _K_BLOCK != 0)


#: Name -> types.
TYPE_SETS = {
    "k": TypeSet(_K, _LEGACY),
    "fast": TypeSet(_K | _LEGACY | _16_BITS | {"IQ4_NL", "IQ4_XS"}),
    "all": TypeSet(frozenset(WRITABLE_TYPES) - {"F32"}),
}


def parse_types(said: str | Iterable[str]) -> TypeSet:
    """Parse the name of a set of types, or types separated by commas.

    Raises:
        UsageError: A type is unknown, or none is given.
    """
    names = [name.strip() for name in said.split(",")] if isinstance(said, str) else [*said]
    if len(names) == 1 and names[0].lower() in TYPE_SETS:
        return TYPE_SETS[names[0].lower()]
    if not any(names):
        raise UsageError(f"{shown(said)} does not name a type; write --types {', '.join(TYPE_SETS)}, or a list.")
    return TypeSet(frozenset(map(find_type, names)))


def menu(candidate: Candidate, costs: Costs, types: TypeSet | None, *, weighted: bool) -> dict[str, float]:
    """Return the types that a tensor may get, with their costs.

    Args:
        candidate: The tensor; the type that it is stored in costs nothing, and F32 is not offered.
        costs: Those that are known.
        types: Types to choose from; None is all that have costs, and the stored one.
        weighted: Whether an importance matrix has the tensor; some types cannot do without.
    """
    stored = {} if candidate.stored_type == "F32" else {candidate.stored_type: 0.0}
    columns = candidate.shape[-1]
    return {
        name: cost
        for name, cost in {**costs, **stored}.items()
        if (types is None or types.allows(name, columns))
        and fits(name, columns)
        and (weighted or not _needs_importance(candidate.name, name))
    }


def choose_within(
    candidates: Sequence[Candidate], menus: Mapping[str, Costs], room: int, *, measured: bool
) -> dict[str, Choice]:
    """Choose a type for each tensor that has a menu.

    Args:
        candidates: All tensors; those without a menu are left out.
        menus: Name of a tensor -> types with their costs.
        room: Bytes for these tensors, each padded; at least those of the smallest choice.
        measured: Whether the costs are in nats a token.

    Returns:
        Name of a tensor -> its choice.
    """
    sought = [candidate for candidate in candidates if candidate.name in menus]
    names = [sorted(menus[candidate.name]) for candidate in sought]
    options = [
        [Option(padded_bytes(candidate, name), menus[candidate.name][name]) for name in of_tensor]
        for candidate, of_tensor in zip(sought, names, strict=True)
    ]
    return {
        candidate.name: _choice(of_tensor[index], of_menu[index], measured=measured)
        for candidate, of_tensor, of_menu, index in zip(sought, names, options, least_cost(options, room), strict=True)
    }


def smallest_bytes(candidates: Sequence[Candidate], menus: Mapping[str, Costs]) -> int:
    """Return the bytes of the smallest choice for the tensors that have menus."""
    return sum(
        min(padded_bytes(candidate, name) for name in menus[candidate.name])
        for candidate in candidates
        if candidate.name in menus
    )


def padded_bytes(candidate: Candidate, type_name: str) -> int:
    """Return the bytes that the tensor takes in a file in this type."""
    return padded(math.prod(candidate.shape[:-1]) * GGML_TYPES[type_name].row_bytes(candidate.shape[-1]))


def amount(cost: float, nbytes: int) -> str:
    """Spell what bytes buy, as in "0.0012 nats for 3.1 MB"; nats are those of a token."""
    mega = nbytes / 1e6
    return f"{cost:.2g} nats for {mega:.1f} MB" if mega >= 1 else f"{cost:.2g} nats for {nbytes / 1e3:.1f} kB"


def _choice(type_name: str, option: Option, *, measured: bool) -> Choice:
    if measured:
        return Choice(type_name, amount(option.cost, option.nbytes), cost=option.cost)
    return Choice(type_name, "within the budget, by a fixed table of roles and bits")


def _needs_importance(name: str, type_name: str) -> bool:
    return needs_importance(name, type_name) or GGML_TYPES[type_name].importance is UseOfImportance.REQUIRED
