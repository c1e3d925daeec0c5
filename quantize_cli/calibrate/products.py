"""The products of a block with its parameters, found while they are computed.

Modules would not do: a mixture of experts multiplies by slices of one parameter. So torch's functions are watched, and
a weight is known by where it lies in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: Function -> the place of the inputs among its arguments; the weight comes next.
_FACTORS: Mapping[Callable[..., Any], int] = {
    torch.nn.functional.linear: 0,
    torch.matmul: 0,
    torch.mm: 0,
    Tensor.matmul: 0,
    Tensor.__matmul__: 0,
    Tensor.mm: 0,
    torch.addmm: 1,
}


class Product(NamedTuple):
    """A product of inputs with one matrix of a parameter."""

    parameter: str
    matrix: int  #: the number of the matrix in a stack; 0 in a parameter of two dimensions
    inputs: Tensor  #: [n, columns], without gradients
    outputs: Tensor  #: what the function returned


class Watch(TorchFunctionMode):
    """While it is entered, `tell` gets each product with one of `parameters`."""

    def __init__(self, parameters: Mapping[str, Tensor], tell: Callable[[Product], None]) -> None:
        super().__init__()
        self._tell = tell
        self._names = {held.untyped_storage().data_ptr(): (name, held) for name, held in parameters.items()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and tell of the product that it is."""
        made = func(*args, **(kwargs or {}))
        place = _FACTORS.get(func)
        if place is not None:
            inputs, weight = (*args, *(kwargs or {}).values())[place : place + 2]  # some models name the weight
            found = self._names.get(weight.untyped_storage().data_ptr())
            if found is not None:
                name, parameter = found
                matrix = weight.storage_offset() // (parameter.shape[-1] * parameter.shape[-2])
                self._tell(Product(name, matrix, inputs.detach().reshape(-1, inputs.shape[-1]), made))
        return made
