"""Rotary position embedding: the parameters of config.json as transformers reads them, and Llama 3's factors."""

from __future__ import annotations

import math

import numpy as np

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.family import Dimensions
from quantize_cli.errors import CheckpointError

#: RoPE types whose parameters name the context length before scaling.
SCALED_TYPES = ("llama3", "yarn", "longrope")


def rope_parameters(config: Config) -> Config:
    """`rope_scaling` (older files) or `rope_parameters`, with rope_type, rope_theta and the original context filled in.

    The order of precedence is that of transformers' RotaryEmbeddingConfigMixin: what the section holds wins.
    """
    section = config.section("rope_scaling").values or config.section("rope_parameters").values
    section = Config(config.path, config.name, section).section("full_attention").values or section
    values = {"rope_theta": config.get("rope_theta"), "rope_type": section.get("type", "default"), **section}
    if not isinstance(values["rope_type"], str):
        raise config.error(("rope_parameters", "rope_scaling"), section, "an object whose rope_type is text")
    if values["rope_type"] in SCALED_TYPES:
        values.setdefault("original_max_position_embeddings", config.get("max_position_embeddings"))
    return Config(config.path, config.name, values)


def llama3_factors(config: Config, dimensions: Dimensions) -> tuple[TensorRecipe, ...]:
    """The divisors of the rotation frequencies that Llama 3.1 scales its context with, where config.json asks for it.

    Long wavelengths are divided by `factor`, short ones are left alone, and between the two the divisor is
    interpolated. Float32 throughout and in the reference's order of operations. The power alone is rounded from
    float64, that is correctly, where the reference's is its CPU's vector library's, off by a unit in the last place
    on 1 % of values; with heads of 64 and 128 and the usual bases (10,000 to 1,000,000) the results are identical.
    """
    rope = rope_parameters(config)
    if rope.values["rope_type"].lower() != "llama3":
        return ()

    def positive(name: str, default: float) -> float:
        value = rope.number(name)
        if value == 0:
            raise rope.error((name,), value, "greater than 0")
        return default if value is None else value

    base = positive("rope_theta", 10000.0)
    low, high = positive("low_freq_factor", 1.0), positive("high_freq_factor", 4.0)
    context = positive("original_max_position_embeddings", 8192.0)
    if low >= high:
        raise CheckpointError(
            f"{config.path} gives rope's low_freq_factor as {low}, not below high_freq_factor {high}."
        )

    one = np.float32(1)
    exponents = np.arange(0, dimensions.head, 2, dtype=np.float32) / np.float32(dimensions.head)
    with np.errstate(all="ignore"):
        factor = np.float32(positive("factor", 8.0))
        periods = np.array([base ** float(exponent) for exponent in exponents]).astype(np.float32)
        wavelengths = one / (one / periods) * np.float32(2 * math.pi)
        smooth = (one / wavelengths * np.float32(context) - np.float32(low)) / np.float32(high - low)
        between = one / ((one - smooth) / factor + smooth)
        factors = np.where(wavelengths > np.float32(context / low), factor, between)
        factors = np.where(wavelengths < np.float32(context / high), one, factors)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise CheckpointError(f"{config.path} gives rope parameters of type llama3 that no frequency can be scaled by.")
    values = tuple(float(value) for value in factors)
    return (TensorRecipe("rope_freqs.weight", (len(values),), (), values=values),)
