"""Foldings in the engine: the folded model's weights in the checkpoint's layout, and whether it is the same model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from quantize_cli.calibrate.backwards import Arrays, Meaning, arrays_of
from quantize_cli.calibrate.forward import embedded, outside, through_block
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.weights import Weights
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.methods.factors import Factors
from quantize_cli.planning.model import PlannedTensor

#: The largest `difference` of a model whose foldings hold, computed in float32; small models have less than a quarter.
TOLERANCE = 1e-3


class Folded:
    """The weights of a model with foldings, which were chosen for its GGUF tensors, in the checkpoint's layout.

    What maps compute on the way to GGUF, such as the 1 that is added to the norms of Gemma, is undone for the factors
    and done again, without a rounding to the checkpoint's dtype.

    Args:
        original: The weights without foldings.
        factors: The foldings' factors.
        tensors: The planned tensors of the whole model.
        infos: The checkpoint's tensors.
    """

    def __init__(
        self, original: Weights, factors: Factors, tensors: Sequence[PlannedTensor], infos: Mapping[str, TensorInfo]
    ) -> None:
        self._original, self._factors, self._infos = original, factors, infos
        made_of: dict[str, list[PlannedTensor]] = {}
        for tensor in tensors:
            for source in tensor.sources:
                made_of.setdefault(source, []).append(tensor)
        self._made_of = {name: made for name, made in made_of.items() if any(tensor.name in factors for tensor in made)}

    def read(self, names: Sequence[str]) -> Arrays:
        """Return tensors of the checkpoint, each float32 in its own shape."""
        arrays = self._original.read(names)
        wanted = {tensor.name: tensor for name in names for tensor in self._made_of.get(name, ())}
        changes = arrays_of(wanted.values(), self._changes, self._infos, Meaning.PLACES)
        with np.errstate(divide="ignore"):  # the logarithm of a tensor that does not have factors
            zeros = arrays_of(wanted.values(), _zeros, self._infos)  # NaN where nothing comes from
        for name in names:
            if name in self._made_of:
                values, zero, change = arrays[name], zeros[name], changes[name]
                # All maps on the way are affine where there are factors: `zero` becomes 0.
                changed = ~np.isnan(zero) & (change != 1)
                values[changed] = (values[changed] - zero[changed]) * change[changed] + zero[changed]
        return arrays

    def _changes(self, tensor: PlannedTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return self._factors.apply(tensor, np.ones((tensor.rows, tensor.columns), np.float32), 0)


def _zeros(tensor: PlannedTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.zeros((tensor.rows, tensor.columns), np.float32)


def difference(skeleton: Skeleton, original: Weights, changed: Weights, tokens: Tensor) -> float:
    """Compute the largest difference of logits, as a part of the standard deviation of the original's.

    Args:
        skeleton: The model.
        original: Its weights.
        changed: Its weights with foldings.
        tokens: int64[sequences, context]; a few, because all logits are kept.

    Raises:
        QuantizeError: The engine cannot run the model.
    """
    expected = _logits(skeleton, original, tokens)
    found = _logits(skeleton, changed, tokens)
    return float((found - expected).abs().max() / expected.std())


@torch.no_grad()
def _logits(skeleton: Skeleton, weights: Weights, tokens: Tensor) -> Tensor:
    """Return float32[sequences, context, vocabulary], computed one block at a time."""
    outside(skeleton, weights)
    passage = Passage(skeleton, tokens.shape[1])
    hidden = embedded(passage, tokens)
    for number in range(len(skeleton)):
        through_block(skeleton, passage, number, weights, hidden)
    return torch.stack([passage.logits(of_sequence) for of_sequence in hidden])
