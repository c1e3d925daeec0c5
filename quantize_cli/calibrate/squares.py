"""What llama-imatrix collects: for each matrix, sums of the squares of its inputs, and how many inputs there were."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.products import Product
from quantize_cli.planning.model import PlannedTensor


class Squares:
    """The sums of one part, which grow while it is computed."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], Tensor] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._last: tuple[Tensor, Tensor] | None = None

    def add(self, product: Product) -> None:
        """Count the inputs of a product."""
        key = product.parameter, product.matrix
        sums = self._summed(product.inputs)
        self._sums[key] = self._sums[key] + sums if key in self._sums else sums
        self._counts[key] = self._counts.get(key, 0) + len(product.inputs)

    def of(self, joined: Joined) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return GGUF name -> sums float32[experts, columns] and counts float32[experts], where there are any."""
        found: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for number, tensor in enumerate(joined.tensors):
            sums, counts = self._of_tensor(joined, number, tensor)
            if counts.any():
                found[tensor.name] = sums, counts
        return found

    def _of_tensor(
        self, joined: Joined, number: int, tensor: PlannedTensor
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        experts = tensor.rows // tensor.rows_of_an_expert
        sums, counts = np.zeros((experts, tensor.columns), np.float32), np.zeros(experts, np.float32)
        for key, place in joined.places.items():
            rows = place.rows[(place.tensors == number) & (place.rows >= 0)]
            if len(rows) and key in self._sums:
                expert = int(rows[0]) // tensor.rows_of_an_expert
                sums[expert, place.columns] = self._sums[key].cpu().numpy()
                counts[expert] = self._counts[key]
        return sums, counts

    def _summed(self, inputs: Tensor) -> Tensor:
        """Return the sums over inputs [n, columns], float64[columns]; queries, keys and values have the same inputs."""
        if (
            self._last is not None
            and self._last[0].data_ptr() == inputs.data_ptr()
            and self._last[0].shape == inputs.shape
        ):
            return self._last[1]
        sums = inputs.float().square().sum(0, dtype=torch.float64)
        self._last = inputs, sums  # which keeps the inputs alive, so that no other ones can lie there
        return sums
