"""Calibrations with made-up values, of the shapes that a model has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantize_cli import plan
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.mixes.kept import why_kept
from quantize_cli.sensitivity.check import identity_of
from quantize_cli.sensitivity.model import BlockActivations, Calibration, TensorCalibration
from quantize_cli.sensitivity.write import write_calibration
from quantize_cli.texts.model import TextRecord

TYPES = ("Q8_0", "Q6_K", "Q5_K", "Q5_0", "Q4_K", "Q4_0", "IQ4_XS", "Q3_K", "IQ3_XXS", "Q2_K", "IQ2_XS")
CONTEXT = 64


def calibration_of(model: str | Path, *, seed: int = 0, types: tuple[str, ...] = TYPES, **planned: str) -> Calibration:
    """Make a calibration of a model whose matrices all have costs; `planned` are options of `plan`."""
    random = np.random.default_rng(seed)
    lossless = plan(model, "bf16", **planned)
    with closing(open_checkpoint(model)) as checkpoint:
        identity = identity_of(checkpoint)
    tensors = [
        _tensor(tensor.name, tensor.shape, random, types)
        for tensor in lossless.tensors
        if why_kept(tensor.name, tensor.shape, lossless.architecture) is None
    ]
    blocks = tuple(BlockActivations(*random.random((2, 8), np.float32)) for _ in range(2))
    texts = (
        TextRecord("prose", ("one.txt", "two.txt"), 3 * CONTEXT, "1" * 64),
        TextRecord("code", ("three.py",), CONTEXT, "2" * 64),
    )
    return Calibration(identity, lossless.architecture, CONTEXT, texts, tuple(tensors), blocks)


def _tensor(
    name: str, shape: tuple[int, ...], random: np.random.Generator, types: tuple[str, ...]
) -> TensorCalibration:
    experts, columns = shape[-3] if len(shape) > 2 else 1, shape[-1]
    squares = random.lognormal(0, 2, (experts, columns)).astype(np.float32)
    counts = np.full(experts, 4 * CONTEXT, np.float32)
    scale = math.prod(shape) * float(random.lognormal(0, 1.5)) * 1e-6
    costs = {
        held: scale * 4 ** -GGML_TYPES[held].bits_per_weight
        for held in types
        if columns % GGML_TYPES[held].block_size == 0
    }
    return TensorCalibration(name, squares, counts, {held: float(np.float32(cost)) for held, cost in costs.items()})


def with_costs(calibration: Calibration, costs: Mapping[str, Mapping[str, float]]) -> Calibration:
    """Replace the costs of the named tensors."""
    tensors = [replace(tensor, costs=costs.get(tensor.name, tensor.costs)) for tensor in calibration.tensors]
    return replace(calibration, tensors=tuple(tensors))


def write(calibration: Calibration, path: Path) -> Path:
    """Write it, and return `path`."""
    write_calibration(calibration, path, force=True)
    return path
