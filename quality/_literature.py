"""A model whose weights have gone through a method of the literature.

As in the papers, and as in bitsandbytes, the matrices in the blocks are quantized. The embedding, the output matrix and
the norms keep 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from quantize_cli.calibrate.backwards import Arrays
from quantize_cli.calibrate.forward import batches, embedded, outside
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.products import Product, Watch
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.weights import Weights
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.literature.base import Columns, Matrix
from quantize_cli.literature.table import Method
from quantize_cli.observer import Observer

#: Bits of a weight that is kept.
_KEPT_BITS = 16


class Rounded:
    """The weights of a checkpoint after a method.

    Args:
        original: The weights before it.
        method: The method.
        inputs: The largest magnitude of what each column is multiplied by, for each matrix that goes through it.
    """

    def __init__(self, original: Weights, method: Method, inputs: Mapping[str, Columns]) -> None:
        self._original, self._method, self._inputs = original, method, inputs
        self._bits: dict[str, int] = {}

    def read(self, names: Sequence[str]) -> Arrays:
        """Return tensors of the checkpoint, each float32 in its own shape."""
        arrays = self._original.read(names)
        return arrays | {name: self._through(name, arrays[name]) for name in names if name in self._inputs}

    def nbytes(self, checkpoint: Checkpoint) -> int:
        """Return what all weights take, once all of them have been read."""
        kept = sum(info.elements for info in checkpoint.infos.values() if info.name not in self._inputs)
        return -(-(sum(self._bits[name] for name in self._inputs) + _KEPT_BITS * kept) // 8)

    def _through(self, name: str, weights: Matrix) -> Matrix:
        result = self._method.round_trip(weights, self._inputs[name])
        self._bits[name] = result.bits
        return result.weights


def largest_inputs(skeleton: Skeleton, original: Weights, tokens: Tensor, observer: Observer) -> dict[str, Columns]:
    """Return the largest magnitude of what each column of each matrix in a block is multiplied by.

    Args:
        skeleton: The model, whose parameters have the names of the checkpoint's tensors, as in Llama.
        original: Its weights.
        tokens: int64[sequences, context].
        observer: Hears of the progress.
    """
    largest: dict[str, Tensor] = {}

    def tell(product: Product) -> None:
        found = product.inputs.abs().amax(0)
        largest[product.parameter] = torch.maximum(largest.get(product.parameter, found), found)

    with torch.no_grad():
        outside(skeleton, original)
        passage = Passage(skeleton, tokens.shape[1])
        hidden = embedded(passage, tokens)
        for number in range(len(skeleton)):
            observer.stage("inputs", number, len(skeleton))
            skeleton.load(number, original)
            with Watch(skeleton.parameters(number), tell):
                for some in batches(hidden):
                    hidden[some] = passage.block(number, hidden[some])
            skeleton.unload(number)
    return {name: np.asarray(values.cpu(), np.float32) for name, values in largest.items()}
