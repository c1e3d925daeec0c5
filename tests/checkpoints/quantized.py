"""Helpers of tests that open checkpoints with quantized weights."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from quantize_cli.checkpoints.encodings.methods import decodings
from quantize_cli.checkpoints.open import open_checkpoint

BF16, FP8 = ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn


def opened(folder, tensors, **quantization):
    """Write tensors and what config.json states of their quantization, and open their folder."""
    save_file({name: np.asarray(values) for name, values in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantization} if quantization else {}))
    return open_checkpoint(folder)


def checked(folder, tensors, **quantization):
    """Open a folder whose codes cannot be decoded, which leaves them as they are, and raise the reason."""
    checkpoint = opened(folder, tensors, **quantization)
    assert list(checkpoint.infos) == sorted(tensors)
    decodings(checkpoint.infos, checkpoint.sidecars)


def numbers(checkpoint, name, start=0, stop=None):
    """Rows of a tensor that is F32."""
    info = checkpoint.infos[name]
    assert info.dtype == "F32"
    packed = checkpoint.read_bytes(name, start, info.rows if stop is None else stop)
    return packed.view(np.float32)


def codes(dtype, *shape, seed=1):
    """Codes of every value that is a number."""
    every = np.arange(256, dtype=np.uint8).view(dtype)
    finite = every[np.isfinite(every.astype(np.float32))]
    return np.random.default_rng(seed).choice(finite, shape)


def scales(dtype, *shape, seed=2):
    """Scales of both signs and many magnitudes."""
    random = np.random.default_rng(seed)
    return np.asarray(random.normal(0, 1, shape) * 2.0 ** random.integers(-9, 9, shape), dtype)
