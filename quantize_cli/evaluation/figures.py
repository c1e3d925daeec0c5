"""Figures of divergence from what was measured at each token.

The definitions are those of `llama-perplexity --kl-divergence` (llama.cpp, tools/perplexity/perplexity.cpp): errors are
standard errors of the mean with n - 1 in the denominator, quantiles lie between neighbouring values by linear
interpolation. Two things differ. llama-perplexity states an error of 0 for fewer than 11 tokens; here the error of one
token is NaN, and of more tokens what the formula gives. And the error of the perplexity's logarithm comes from the
differences of the tokens, which equals their variances less twice their covariance but does not lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.evaluation.model import Difference, Divergence


@dataclass(frozen=True, eq=False, slots=True)
class TokenDivergences:
    """What was measured at each of n scored tokens, in the order of the texts; logarithms are natural."""

    kld: NDArray[np.float64]  #: float64[n]: KL divergence (original || quantized) of the next token, in nats
    same_top: NDArray[np.bool_]  #: bool[n]: both models hold the same token the likeliest
    nll: NDArray[np.float64]  #: float64[n]: -ln of the probability that the quantized model gives the true token
    original_nll: NDArray[np.float64]  #: float64[n]: the same of the original
    kinds: NDArray[np.int64]  #: int64[n]: index of the kind of text

    def of_kind(self, kind: int) -> TokenDivergences:
        """Return the tokens of one kind."""
        chosen = self.kinds == kind
        return TokenDivergences(
            self.kld[chosen],
            self.same_top[chosen],
            self.nll[chosen],
            self.original_nll[chosen],
            self.kinds[chosen],
        )


def divergence(tokens: TokenDivergences) -> Divergence:
    """Sum up all tokens, whatever their kind.

    Raises:
        ValueError: There is not any token.
    """
    count = tokens.kld.size
    if not count:
        raise ValueError("a divergence needs at least one token")
    median, kld_99, kld_99_9 = map(float, np.quantile(tokens.kld, (0.5, 0.99, 0.999)))
    same_top = float(np.mean(tokens.same_top))
    ln_ratio = _mean(tokens.nll - tokens.original_nll)
    with np.errstate(over="ignore"):  # a broken model has an infinite perplexity
        perplexity, original_perplexity = (float(np.exp(np.mean(nll))) for nll in (tokens.nll, tokens.original_nll))
    kld = _mean(tokens.kld)
    return Divergence(
        tokens=count,
        mean_kld=kld.mean,
        mean_kld_error=kld.error,
        median_kld=median,
        kld_99=kld_99,
        kld_99_9=kld_99_9,
        same_top=same_top,
        same_top_error=math.sqrt(same_top * (1 - same_top) / (count - 1)) if count > 1 else math.nan,
        perplexity=perplexity,
        original_perplexity=original_perplexity,
        ln_ratio=ln_ratio.mean,
        ln_ratio_error=ln_ratio.error,
    )


def by_kind(tokens: TokenDivergences, kinds: Sequence[str]) -> tuple[tuple[str, Divergence], ...]:
    """Sum up the tokens of each kind that has some, in the order of `kinds`, the names."""
    present = np.bincount(tokens.kinds, minlength=len(kinds))
    return tuple((name, divergence(tokens.of_kind(kind))) for kind, name in enumerate(kinds) if present[kind])


def paired(one: TokenDivergences, other: TokenDivergences) -> Difference:
    """Compare two files by the same tokens: the mean of the differences of their KLD.

    What makes a token hard for both cancels out, so the error is smaller than that of either mean.

    Raises:
        ValueError: The files were not measured on the same number of tokens, or on none.
    """
    if one.kld.shape != other.kld.shape or not one.kld.size:
        raise ValueError(f"cannot pair {one.kld.size} tokens with {other.kld.size}")
    return _mean(one.kld - other.kld)


def _mean(values: NDArray[np.float64]) -> Difference:
    """Return mean and standard error."""
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Difference(float(np.mean(values)), error)
