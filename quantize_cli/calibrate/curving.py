"""From Hessians to what the kernels take: damping, shrinkage, and factors."""

from __future__ import annotations

import torch
from torch import Tensor

from quantize_cli.methods.curvature import Curvature

#: The share of the mean of a Hessian's diagonal that is added to it. Of 0.01 to 1, 0.1 was the best where gradients
#: weight the tokens (docs/quality.md).
DAMPING = 0.1
#: The same of the outputs.
OUTPUT_DAMPING = 1.0
#: How much more is added each time that a factor cannot be found.
_MORE = 10


def curvature(hessian: Tensor) -> Curvature:
    """Damp a Hessian float32[columns, columns], and find the factor of its inverse."""
    mean = float(hessian.diagonal().mean()) or 1.0
    damping = DAMPING
    while True:
        damped = hessian / mean
        damped.diagonal().add_(damping)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            factor = torch.cholesky_inverse(factor)  # one name, because each of these is as large as the Hessian
            factor, failed = torch.linalg.cholesky_ex(factor)
            if not failed:
                factor = factor.contiguous()
                return Curvature(damped.cpu().numpy(), factor.cpu().numpy())
        damping *= _MORE


def shrunk(hessian: Tensor, tokens: int, layer: Tensor, layer_tokens: int) -> Tensor:
    """Draw the Hessian of an expert, which few tokens may have hit, to that of all experts of its layer.

    H_e n / (n + k) + H_layer k / (n + k), both per token, where k is the number of columns.
    """
    columns = len(hessian)
    share = tokens / (tokens + columns)
    return share * hessian / max(tokens, 1) + (1 - share) * layer / max(layer_tokens, 1)


def both_sides(factors: Tensor) -> Tensor:
    """Return the damped Hessian of a matrix's outputs, float32[rows, rows], of factors float32[1 + rank, rows]."""
    outputs = factors[1:].T @ factors[1:]
    outputs.diagonal().add_(factors[0])
    outputs.diagonal().add_(OUTPUT_DAMPING * float(outputs.diagonal().mean()))
    return outputs
