"""Recipes backwards: from the tensors of a GGUF file to those of the checkpoint that it was made of.

A move is a map from output rows to source rows, so that its inverse is a scatter. So is that of a map that only moves
values: it is applied to the numbers of the places. A map that computes has an inverse of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.maps import Add, Map, NegExp, Scale, ScaleRows, Window
from quantize_cli.architectures.moves import moved
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.planning.model import PlannedTensor

#: Values of a GGUF tensor, float32[rows, columns]; of a vector, float32[1, elements].
Rows: TypeAlias = NDArray[np.float32]
#: Values of tensors of a checkpoint by name, each in its own shape.
Arrays: TypeAlias = dict[str, NDArray[np.float32]]

#: What undoes a map that computes, of values in a window.
_Undo = Callable[[Any, Rows, Window], Rows]

_SCALES: Mapping[type, _Undo] = {
    Scale: lambda change, rows, _: rows / np.float32(change.factor),
    ScaleRows: lambda change, rows, made: rows / _factors(change, made),
}


class Meaning(Enum):
    """What the values are that go backwards: it tells what maps that compute have done to them."""

    WEIGHTS = "weights"
    CHANGES = "changes"  #: differences of weights, which a sum with a constant leaves alone
    PLACES = "places"  #: numbers that tell where a value arrives, which nothing has changed


_INVERSES: Mapping[Meaning, Mapping[type, _Undo]] = {
    Meaning.WEIGHTS: {
        **_SCALES,
        Add: lambda change, rows, _: rows - np.float32(change.value),
        NegExp: lambda _change, rows, _: np.log(-rows.astype(np.float64)).astype(np.float32),
    },
    Meaning.CHANGES: _SCALES,
    Meaning.PLACES: {},
}


def arrays_of(
    tensors: Iterable[PlannedTensor],
    read: Callable[[PlannedTensor], Rows],
    infos: Mapping[str, TensorInfo],
    meaning: Meaning = Meaning.WEIGHTS,
) -> Arrays:
    """Make the sources of some GGUF tensors.

    Args:
        tensors: All GGUF tensors that are made of these sources.
        read: Returns a tensor's values.
        infos: The checkpoint's tensors.
        meaning: What the values are. Where no GGUF tensor has one, weights are NaN, and all others 0.
    """
    arrays: Arrays = {}
    fill = np.nan if meaning is Meaning.WEIGHTS else 0
    for tensor in tensors:
        if _is_its_source(tensor, infos):
            arrays[tensor.sources[0]] = read(tensor).reshape(infos[tensor.sources[0]].shape)
            continue
        for name in tensor.sources:
            if name not in arrays:
                arrays[name] = np.full(infos[name].shape, fill, np.float32)
        _scatter(tensor, read(tensor), [arrays[name] for name in tensor.sources], _INVERSES[meaning])
    return arrays


def _is_its_source(tensor: PlannedTensor, infos: Mapping[str, TensorInfo]) -> bool:
    """Tell whether a tensor has all values of one source, where they were: an embedding is large."""
    unchanged = len(tensor.sources) == 1 and not tensor.moves and not tensor.maps
    return unchanged and infos[tensor.sources[0]].elements == tensor.weights


def _scatter(
    tensor: PlannedTensor, rows: Rows, sources: list[NDArray[np.float32]], inverses: Mapping[type, _Undo]
) -> None:
    """Write a tensor's values to the places in its sources that they come from."""
    vector = len(tensor.shape) == 1
    width = 1 if vector else sources[0].shape[-1] if sources[0].ndim > 1 else tensor.columns
    if vector:
        window = Window(0, tensor.columns, 0, 1)
        _scatter_matrix(tensor, _undone(tensor, rows.reshape(-1, 1), window, inverses), window, sources, width)
        return
    step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
    for start in range(0, tensor.rows, step):
        window = Window(start, start + step, 0, tensor.columns)
        values = _undone(tensor, rows[start : start + step], window, inverses)
        _scatter_matrix(tensor, values, window, sources, width)


def _scatter_matrix(
    tensor: PlannedTensor, values: Rows, window: Window, sources: list[NDArray[np.float32]], width: int
) -> None:
    """Write one window of a tensor, all of one matrix; `width` is the length of the sources' rows."""
    windows = _windows(tensor, window)
    still = [(change, made) for change, made in zip(tensor.maps, windows[1:], strict=True) if not change.computes]
    places = _places(still, windows[0], tensor, width) if still or tensor.moves else None
    start = 0
    for source in sources:
        flat = source.reshape(-1)
        if places is None:
            flat[:] = values.reshape(-1)[start : start + flat.size]
        else:
            here = (places >= start) & (places < start + flat.size)
            flat[places[here] - start] = values.reshape(-1)[here]
        start += flat.size


def _undone(tensor: PlannedTensor, values: Rows, window: Window, inverses: Mapping[type, _Undo]) -> Rows:
    """Undo the maps of a tensor that compute; all of them keep values in their places."""
    if inverses:
        for change, made in zip(reversed(tensor.maps), reversed(_windows(tensor, window)[1:]), strict=True):
            if change.computes and type(change) in inverses:
                values = inverses[type(change)](change, values, made)
    return values


def _windows(tensor: PlannedTensor, window: Window) -> list[Window]:
    """Return what a window of the output is made of: behind the moves, and behind each of the maps."""
    windows = [window]
    for change in reversed(tensor.maps):
        windows.insert(0, change.window(windows[0]))
    return windows


def _places(still: list[tuple[Map, Window]], first: Window, tensor: PlannedTensor, width: int) -> NDArray[np.int64]:
    """Return the flat place of each value in all sources laid end to end, or -1 if it does not come from there."""
    rows = moved(tensor.moves, np.arange(first.start, first.stop, dtype=np.int64))
    # The numbers begin at 1, because a map may add zeros.
    places = rows[:, None] * width + np.arange(first.left, first.right, dtype=np.int64)[None, :] + 1
    for change, made in still:
        places = change.apply(places, made)
    return places.reshape(-1) - 1


def _factors(change: ScaleRows, made: Window) -> Rows:
    bands = np.searchsorted(change.ends, np.arange(made.start, made.stop), side="right")
    return np.array(change.factors, np.float32)[bands][:, None]
