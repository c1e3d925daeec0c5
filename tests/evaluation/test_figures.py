"""The figures against slow scalar twins, which follow llama-perplexity's sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from evaluation_factory import TEXT_KINDS, tokens

from quantize_cli.evaluation.figures import TokenDivergences, by_kind, divergence, paired


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    count = len(values)
    mean = math.fsum(values) / count
    return mean, math.sqrt((math.fsum(value * value for value in values) / count - mean * mean) / (count - 1))


def quantile(values: Sequence[float], fraction: float) -> float:
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    share = place - below
    return (1 - share) * ordered[below] + share * ordered[min(below + 1, len(ordered) - 1)]


@pytest.mark.parametrize("count", [11, 400, 1001])
def test_the_figures_are_those_of_the_scalar_sums(count):
    held = tokens(0.1, seed=count, count=count)
    found = divergence(held)
    kld, nll, original = held.kld.tolist(), held.nll.tolist(), held.original_nll.tolist()
    assert found.tokens == count
    assert (found.mean_kld, found.mean_kld_error) == pytest.approx(mean_and_error(kld), rel=1e-9)
    quantiles = [quantile(kld, fraction) for fraction in (0.5, 0.99, 0.999)]
    assert [found.median_kld, found.kld_99, found.kld_99_9] == pytest.approx(quantiles, rel=1e-12)
    same = sum(held.same_top.tolist()) / count
    assert found.same_top == pytest.approx(same)
    assert found.same_top_error == pytest.approx(math.sqrt(same * (1 - same) / (count - 1)))
    (log, error), (log_original, original_error) = mean_and_error(nll), mean_and_error(original)
    product = math.fsum(one * other for one, other in zip(nll, original, strict=True)) / count
    covariance = (product - log * log_original) / (count - 1)
    assert found.perplexity == pytest.approx(math.exp(log))
    assert found.original_perplexity == pytest.approx(math.exp(log_original))
    assert found.ln_ratio == pytest.approx(log - log_original, rel=1e-9)
    assert found.ln_ratio_error == pytest.approx(math.sqrt(error**2 + original_error**2 - 2 * covariance), rel=1e-6)


def test_each_kind_has_its_own_tokens_and_a_kind_without_tokens_is_left_out():
    held = tokens(0.05)
    held.kinds[held.kinds == 3] = 4
    found = dict(by_kind(held, TEXT_KINDS))
    assert [*found] == [kind for kind in TEXT_KINDS if kind != "mathematics"]
    assert sum(figures.tokens for figures in found.values()) == held.kld.size
    code = [kld for kld, kind in zip(held.kld.tolist(), held.kinds.tolist(), strict=True) if kind == 2]
    assert found["code"].mean_kld == pytest.approx(math.fsum(code) / len(code))
    assert found["code"].mean_kld > 2 * found["prose"].mean_kld


def test_pairing_takes_out_what_is_hard_for_both():
    one = tokens(0.05)
    noise = np.random.default_rng(1).normal(0.001, 0.0005, one.kld.size)
    other = TokenDivergences(one.kld - noise, one.same_top, one.nll, one.original_nll, one.kinds)
    found = paired(one, other)
    assert (found.mean, found.error) == pytest.approx(mean_and_error(noise.tolist()), rel=1e-6)
    assert found.error < divergence(one).mean_kld_error / 20
    assert paired(other, one).mean == pytest.approx(-found.mean)


def test_few_tokens_and_broken_models():
    one = divergence(tokens(0.1, count=1))
    assert one.tokens == 1
    assert one.median_kld == one.mean_kld
    assert all(math.isnan(error) for error in (one.mean_kld_error, one.same_top_error, one.ln_ratio_error))
    held = tokens(0.1, count=20)
    held.nll[:] = 1e6
    assert divergence(held).perplexity == math.inf
    held.kld[3] = math.nan
    assert math.isnan(divergence(held).mean_kld)
    with pytest.raises(ValueError, match="at least one token"):
        divergence(tokens(0.1, count=0))
    with pytest.raises(ValueError, match="cannot pair 20 tokens with 3"):
        paired(held, tokens(0.1, count=3))


def test_a_million_tokens_are_quick_and_the_same_model_does_not_diverge():
    count = 1_000_000
    held = tokens(0.05, count=count)
    assert divergence(held).tokens == count
    same = TokenDivergences(np.zeros(count), np.ones(count, bool), held.nll, held.nll, held.kinds)
    found = divergence(same)
    assert (found.mean_kld, found.mean_kld_error, found.kld_99_9, found.ln_ratio, found.ln_ratio_error) == (0,) * 5
    assert (found.same_top, found.same_top_error) == (1, 0)
