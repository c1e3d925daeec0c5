"""The kinds of gates: what each measures, and how its limit is written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantize_cli.measure.errors import TensorError

#: Units of sizes, in upper case; without an i they are powers of 1000, as for --split-max-size.
_UNITS = {
    "": 1,
    "B": 1,
    **{f"{letter}{end}": 1000**power for power, letter in enumerate("KMGT", 1) for end in ("", "B")},
    **{f"{letter}I{end}": 1024**power for power, letter in enumerate("KMGT", 1) for end in ("", "B")},
}
_NUMBER = re.compile(r"((?:\d{1,16}(?:\.\d{0,20})?|\.\d{1,20})(?:e[+-]?\d{1,2})?)\s*([A-Za-z%]{0,3})")


@dataclass(frozen=True, slots=True)
class Measured:
    """What gates look at, of a tensor or of a whole model."""

    nbytes: int
    error: TensorError | None  #: None before the run


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of gate."""

    option: str
    example: str
    units: Mapping[str, float]  #: units of a limit, in upper case -> their factors
    value: Callable[[Measured], float | None]  #: None as long as it is not known
    show: Callable[[float], str]
    least: bool = False  #: whether the limit is the least that passes, not the most

    def passes(self, value: float, limit: float) -> bool:
        """Tell whether a value keeps the limit."""
        return value >= limit if self.least else value <= limit

    def parse(self, text: str) -> float | None:
        """Read a limit; None if the text is not one."""
        found = _NUMBER.fullmatch(text.strip())
        factor = self.units.get(found[2].upper()) if found else None
        return None if found is None or factor is None else float(found[1]) * factor


def _relative_rmse(measured: Measured) -> float | None:
    error = measured.error
    if error is None:
        return None
    if error.relative_rmse is None:  # all weights are 0: any error is without bound
        return 0.0 if error.rmse == 0 else math.inf
    return error.relative_rmse


def _sqnr(measured: Measured) -> float | None:
    error = measured.error
    if error is None:
        return None
    if error.sqnr_db is None:
        return math.inf if error.rmse == 0 else -math.inf
    return error.sqnr_db


#: Keyword of the library -> its kind.
KINDS: Mapping[str, Kind] = {
    "max_rmse": Kind(
        "--max-rmse",
        "0.08 or 8%",
        {"": 1.0, "%": 0.01},
        _relative_rmse,
        lambda value: f"{value:.4g}",
    ),
    "min_sqnr": Kind(
        "--min-sqnr", "22 or 22dB", {"": 1.0, "DB": 1.0}, _sqnr, lambda value: f"{value:.4g} dB", least=True
    ),
    "max_size": Kind("--max-size", "4GiB or 900M", _UNITS, lambda it: it.nbytes, lambda value: f"{value:,.0f} bytes"),
}
