"""Rows of tensors that have come over the network, in memory until they have been used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.base import Extent


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    extent: Extent
    rows: NDArray[np.uint8]


class HeldRows:
    """Pieces of tensors; one thread adds and drops them, and any number find them."""

    def __init__(self) -> None:
        self._pieces: dict[str, tuple[_Piece, ...]] = {}  # those of a tensor; a change makes a new tuple

    def add(self, extent: Extent, rows: NDArray[np.uint8]) -> None:
        """Keep rows, uint8[rows of the extent, bytes of a row]."""
        pieces = (*self._pieces.get(extent.name, ()), _Piece(extent, rows))
        self._pieces[extent.name] = tuple(sorted(pieces, key=lambda piece: piece.extent))

    def drop(self, extent: Extent) -> None:
        """Forget rows that were added; if they were added twice, one of both."""
        pieces = [*self._pieces[extent.name]]
        del pieces[[piece.extent for piece in pieces].index(extent)]
        if pieces:
            self._pieces[extent.name] = tuple(pieces)
        else:
            del self._pieces[extent.name]

    def find(self, name: str, start: int, stop: int) -> NDArray[np.uint8] | None:
        """Return a copy of the rows `start:stop`, or None if one of them is not here."""
        parts = []
        place = start
        for piece in self._pieces.get(name, ()):
            _, first, end = piece.extent
            if first <= place < min(stop, end):
                parts.append(piece.rows[place - first : stop - first])
                place = min(stop, end)
        if place < stop or not parts:
            return None
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

    def __len__(self) -> int:
        """Return the number of tensors that have rows here."""
        return len(self._pieces)
