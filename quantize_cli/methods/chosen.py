"""What a method has chosen for one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantize_cli.methods.factors import Factors
from quantize_cli.methods.rounded import Packed, Rounded
from quantize_cli.outputs.refusals import writing
from quantize_cli.planning.model import PlannedTensor

Rows = NDArray[np.float32]

#: Where factors are kept, and what stands before a tensor's name there.
_FACTORS, _ROWS, _COLUMNS = "factors.npz", "rows ", "columns "


@dataclass(frozen=True, eq=False, slots=True)
class Chosen:
    """Blocks of some tensors, and foldings of weights; the reference's search makes all other blocks."""

    rounded: Rounded
    factors: Factors | None

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Return what has been kept in a folder, with `keep`."""
        path = folder / _FACTORS
        if not path.is_file():
            return cls(Rounded(folder), None)
        with np.load(path, allow_pickle=False) as held:
            rows, columns = (
                {name.removeprefix(what): held[name] for name in held.files if name.startswith(what)}
                for what in (_ROWS, _COLUMNS)
            )
        return cls(Rounded(folder), Factors(rows, columns))

    def keep(self, folder: Path) -> None:
        """Write the factors beside the blocks, if there are any.

        Raises:
            OutputError: The disk is full, for example.
        """
        if self.factors is not None:
            rows = {f"{_ROWS}{name}": held for name, held in self.factors.rows.items()}
            columns = {f"{_COLUMNS}{name}": held for name, held in self.factors.columns.items()}
            with writing(folder / _FACTORS):
                np.savez(folder / _FACTORS, **rows, **columns)  # type: ignore[arg-type]

    def changes(self, tensor: PlannedTensor) -> bool:
        """Tell whether a tensor has other blocks than those of the reference's search."""
        return self.rounded.has(tensor.name) or (self.factors is not None and tensor.name in self.factors)

    def folded(
        self, tensor: PlannedTensor, rows: Rows, importance: Rows | None, start: int
    ) -> tuple[Rows, Rows | None]:
        """Return rows from number `start` on, all of one matrix, and their importance, as foldings change them."""
        if self.factors is None:
            return rows, importance
        changed = None if importance is None else self.factors.importance(tensor, importance, start)
        return self.factors.apply(tensor, rows, start), changed

    def blocks(self, tensor: PlannedTensor, start: int, stop: int) -> Packed | None:
        """Return some rows of a tensor, or None if the search makes them."""
        return self.rounded.read(tensor, start, stop) if self.rounded.has(tensor.name) else None
