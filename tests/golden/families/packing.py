"""Layouts of checkpoints whose matrices are quantized: codes and scales as the Hub's files have them.

Every step is one that IEEE 754 fixes, so that codes are the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import ml_dtypes
import numpy as np
from golden.families.case import Arrays, Layout
from golden.families.weights import Array

#: The projections that makers of FP8 models quantize, but for routers, the embedding and the head.
LINEAR = r"(_proj(_with_mqa)?|(q|kv)_[ab]_proj|\.w[123])\.weight$"
FP8 = ml_dtypes.float8_e4m3fn

#: A function: the weights of a matrix -> the tensors in its place, by what their names have in place of "weight".
Packing = Callable[[Array], Arrays]


def packed(packing: Packing, pattern: str = LINEAR) -> Layout:
    """Return a layout that packs each matrix whose name has the pattern."""

    def layout(tensors: Arrays) -> Arrays:
        found: Arrays = {}
        for name, values in tensors.items():
            if re.search(pattern, name):
                stem = name.removesuffix("weight")
                found |= {stem + part: held for part, held in packing(values.astype(np.float32)).items()}
            else:
                found[name] = values
        return found

    return layout


def in_turn(*layouts: Layout) -> Layout:
    """Return a layout that applies some, one after the other."""

    def layout(tensors: Arrays) -> Arrays:
        for step in layouts:
            tensors = step(tensors)
        return tensors

    return layout


def _shared(largest: Array, most: float, dtype: type) -> Array:
    """Return scales that bring the largest of each block to `most`, or to 1 where all are zero."""
    scales = (largest / np.float32(most)).astype(dtype)
    return np.where(scales == 0, np.ones_like(scales), scales)


def _spread(scales: Array, block: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """Repeat the scale of each block for all its weights."""
    rows = np.repeat(scales.astype(np.float32), block[0], axis=0)[: shape[0]]
    return np.repeat(rows, block[1], axis=1)[:, : shape[1]]


def _largest(weights: Array, block: tuple[int, int]) -> Array:
    """Return the largest magnitude of each block."""
    rows, columns = (-(-size // side) for size, side in zip(weights.shape, block, strict=True))
    padded = np.zeros((rows * block[0], columns * block[1]), np.float32)
    padded[: weights.shape[0], : weights.shape[1]] = np.abs(weights)
    return padded.reshape(rows, block[0], columns, block[1]).max(axis=(1, 3))


def blocks_of_fp8(scale: str, dtype: type = np.float32, side: int = 128) -> Packing:
    """Return a packing to FP8 with a scale for each square of weights; `scale` is what its name ends in."""

    def packing(weights: Array) -> Arrays:
        scales = _shared(_largest(weights, (side, side)), 448, dtype)
        codes = (weights / _spread(scales, (side, side), weights.shape)).astype(FP8)
        return {"weight": codes, scale: scales}

    return packing


def stacks_of_fp8(dtype: type = np.float32) -> Packing:
    """Return a packing of stacks of experts, whose names lack "weight", to FP8 in squares."""
    square = blocks_of_fp8("_scale_inv", dtype)

    def packing(weights: Array) -> Arrays:
        experts = [square(expert) for expert in weights]
        parts = {"": "weight", "_scale_inv": "_scale_inv"}
        return {part: np.stack([expert[name] for expert in experts]) for part, name in parts.items()}

    return packing


def rows_of_codes(most: float, code: type, dtype: type) -> Packing:
    """Return a packing to codes of 8 bits with a scale for each row, a matrix of one column."""

    def packing(weights: Array) -> Arrays:
        scales = _shared(np.abs(weights).max(axis=1, keepdims=True), most, dtype)
        codes = weights / scales.astype(np.float32)
        return {"weight": (np.rint(codes) if code is np.int8 else codes).astype(code), "weight_scale": scales}

    return packing


def whole_in_fp8(weight_scale: str, activation_scale: str, dtype: type, shape: tuple[int, ...] = ()) -> Packing:
    """Return a packing to FP8 with one scale for a matrix, and one for activations, which does not matter."""

    def packing(weights: Array) -> Arrays:
        scale = _shared(np.abs(weights).max(keepdims=True), 448, dtype)
        codes = (weights / scale.astype(np.float32)).astype(FP8)
        unused = np.full(shape, 0.5, dtype)
        return {"weight": codes, weight_scale: scale.reshape(shape), activation_scale: unused}

    return packing


def groups_of_int4(dtype: type = ml_dtypes.bfloat16, group: int = 32) -> Packing:
    """Return a packing to compressed-tensors' 4-bit integers, eight in an int32, the first in its lowest bits."""

    def packing(weights: Array) -> Arrays:
        scales = _shared(_largest(weights, (1, group)), 7, dtype)
        codes = np.rint(weights / _spread(scales, (1, group), weights.shape)).clip(-8, 7).astype(np.int64) + 8
        return {
            "weight_packed": _joined(codes, 4),
            "weight_scale": scales,
            "weight_shape": np.array(weights.shape, np.int64),
        }

    return packing


def _joined(codes: Array, bits: int) -> Array:
    """Join neighbours in a row to int32, the first in the lowest bits."""
    count = 32 // bits
    groups = codes.astype(np.uint32).reshape(len(codes), -1, count)
    shifted = groups << (np.arange(count, dtype=np.uint32) * np.uint32(bits))
    return np.bitwise_or.reduce(shifted, axis=-1).view(np.int32)


def groups_of_gptq(bits: int, group: int, in_order: bool) -> Packing:
    """Return a packing to GPTQ's integers, a transposed matrix; columns of a group may lie anywhere in a row."""

    def packing(weights: Array) -> Arrays:
        columns, most = weights.shape[1], (1 << bits) - 1
        groups = np.arange(columns, dtype=np.int32) // group
        groups = groups if in_order else np.ascontiguousarray(groups.reshape(-1, columns // 4).T).reshape(-1)
        order = np.argsort(groups, kind="stable")
        scales = _shared(_largest(weights[:, order], (1, group)), most / 2, np.float16)
        zeros = np.indices(scales.shape).sum(axis=0) % 3 + (most // 2)
        codes = np.rint(weights / scales.astype(np.float32)[:, groups]) + zeros[:, groups]
        return {
            "qweight": np.ascontiguousarray(_joined(codes.clip(0, most).astype(np.int64), bits).T),
            "qzeros": _joined(np.ascontiguousarray(zeros.T) - 1, bits),
            "scales": np.ascontiguousarray(scales.T),
            "g_idx": groups,
        }

    return packing


def quarters(weights: Array) -> Arrays:
    """Pack a matrix to BitNet's codes of -1, 0 and 1: four quarters of the rows over each other."""
    scale = np.float32(1) / np.maximum(np.abs(weights).max(), np.float32(2.0**-20)) * np.float32(3)
    codes = np.rint(weights * scale).clip(-1, 1).astype(np.int64).reshape(4, -1, weights.shape[1]) + 1
    joined = codes[0] | codes[1] << 2 | codes[2] << 4 | codes[3] << 6
    return {"weight": joined.astype(np.uint8), "weight_scale": np.array([scale], ml_dtypes.bfloat16)}
