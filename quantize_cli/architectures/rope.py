"""Rotary position embedding: the parameters as the reference converter gathers them, and Llama 3's factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from quantize_cli.architectures.config import Config
from quantize_cli.errors import CheckpointError

_GLOBAL_THETA = ("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base")
_LOCAL_THETA = ("local_rope_theta", "rope_local_theta", "rope_theta_local", "swa_rope_theta", "rope_local_base_freq")

#: Layer kinds that may have rope parameters of their own.
_KINDS = ("full_attention", "sliding_attention")


def rope_parameters(config: Config) -> Config:
    """Return `rope_parameters` (older files: `rope_scaling`), filled in with parameters from beside it.

    If layer kinds have their own parameters, the section holds an object for each kind; see `main_parameters`.
    """
    names = "rope_parameters", "rope_scaling"
    section = config.section(*names).values if config.get(*names) else {}  # as in the reference, whatever is empty
    if any(kind in section for kind in _KINDS):
        return Config(config.where, section)
    values: dict[str, Any] = dict(section)
    beside = {
        "rope_theta": config.get(*_GLOBAL_THETA),
        "rope_type": values.get("type"),
        "partial_rotary_factor": config.get("partial_rotary_factor", "rope_pct", "rope_percent"),
        "original_max_position_embeddings": config.get("original_max_position_embeddings"),
    }
    values.update({name: value for name, value in beside.items() if value is not None and name not in values})
    if (local := config.get(*_LOCAL_THETA)) is not None:
        values["sliding_attention"] = {"rope_theta": local}
    return Config(config.where, values)


def main_parameters(rope: Config) -> Config:
    """Return the parameters of the layers that attend to everything; in most models, those are all layers."""
    return rope.section("full_attention") if "full_attention" in rope.values else rope


def llama3_factors(rope: Config, head: int) -> tuple[float, ...]:
    """Return the divisors of the rotation frequencies by which Llama 3.1 extends its context, float32 values.

    Long wavelengths are divided by `factor`, short ones stay, and between the two the divisor is interpolated. All is
    float32 and in the reference's order of operations, except that the power is rounded from float64, that is,
    correctly. The reference takes the power from its CPU's vector library, which is off by a unit in the last place for
    1 % of values; with heads of 64 and 128 and the usual bases (10,000 to 1,000,000) the results are identical.

    Args:
        rope: The parameters.
        head: Rows of one attention head.

    Raises:
        CheckpointError: The parameters cannot scale any frequency.
    """
    base = _positive(rope, "rope_theta", 10000.0)
    low, high = _positive(rope, "low_freq_factor", 1.0), _positive(rope, "high_freq_factor", 4.0)
    context = _positive(rope, "original_max_position_embeddings", 8192.0)
    if low >= high:
        raise CheckpointError(
            f"{rope.where} gives low_freq_factor as {low}, but it must be less than high_freq_factor, {high}; download "
            "it again."
        )

    one = np.float32(1)
    exponents = np.arange(0, head, 2, dtype=np.float32) / np.float32(head)
    with np.errstate(all="ignore"):
        factor = np.float32(_positive(rope, "factor", 8.0))
        periods = np.array([base ** float(exponent) for exponent in exponents]).astype(np.float32)
        wavelengths = one / (one / periods) * np.float32(2 * math.pi)
        smooth = (one / wavelengths * np.float32(context) - np.float32(low)) / np.float32(high - low)
        between = one / ((one - smooth) / factor + smooth)
        factors = np.where(wavelengths > np.float32(context / low), factor, between)
        factors = np.where(wavelengths < np.float32(context / high), one, factors)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise CheckpointError(
            f"{rope.where} gives rope parameters of type llama3 that cannot scale any frequency; download it again."
        )
    return tuple(float(value) for value in factors)


def four_sections(rope: Config) -> list[int] | None:
    """Return `mrope_section` padded to four numbers: time, height, width, and one more."""
    sections = rope.naturals("mrope_section")
    return None if sections is None else (sections + [0] * 4)[:4]


def sliding_theta(rope: Config) -> float | None:
    """Return the base of the layers that attend to a window."""
    return rope.section("sliding_attention").number("rope_theta")


def _positive(rope: Config, name: str, default: float) -> float:
    value = rope.number(name)
    if value == 0:
        raise rope.error((name,), "greater than 0")
    return default if value is None else value


#: `rope_type` -> GGUF's name for the scaling (constants.py, `RopeScalingType`); all but the last need a factor.
SCALINGS: Mapping[str, str] = {"linear": "linear", "yarn": "yarn", "su": "longrope", "longrope": "longrope"}
