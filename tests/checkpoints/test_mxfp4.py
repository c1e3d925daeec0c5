"""MXFP4 as gpt-oss stores it: the same weights in GGML's blocks, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError

#: The values of E2M1's codes.
VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def stored(shape=(2, 3, 2)):
    """Codes and scales of two experts with three rows of two blocks."""
    drawn = np.random.default_rng(1)
    codes = drawn.integers(0, 256, (*shape, 16), np.uint8)
    return {"experts.up_blocks": codes, "experts.up_scales": drawn.integers(110, 130, shape, np.uint8)}


def opened(folder, tensors, name="model.safetensors"):
    """Write tensors and open their folder."""
    save_file(tensors, folder / name)
    return open_checkpoint(folder)


def test_rows_hold_the_same_weights(tmp_path):
    tensors = stored()
    checkpoint = opened(tmp_path, {**tensors, "norm": np.ones(4, np.float32)})
    assert list(checkpoint.infos) == ["experts.up.weight", "norm"]
    info = checkpoint.infos["experts.up.weight"]
    assert (info.dtype, info.shape, info.nbytes) == ("MXFP4", (2, 3, 64), 6 * 2 * 17)
    codes = tensors["experts.up_blocks"]
    neighbours = np.stack([codes & 15, codes >> 4], axis=-1).reshape(6, 2, 32)
    scales = np.exp2(tensors["experts.up_scales"].astype(np.float32) - 127).reshape(6, 2, 1)
    packed = checkpoint.read_bytes(info.name, 1, 6)
    rows = np.empty((5, 64), np.float32)
    BLOCK_TYPES["MXFP4"].dequantize(packed, rows)
    assert np.array_equal(rows, (VALUES[neighbours] * scales).reshape(6, 64)[1:])
    assert np.array_equal(checkpoint.read_small(info.name)[34:], packed.reshape(-1))
    assert checkpoint.read_small("norm").view(np.float32).tolist() == [1.0] * 4


def test_scales_may_lie_in_another_file(tmp_path):
    tensors = stored()
    save_file({"experts.up_scales": tensors.pop("experts.up_scales")}, tmp_path / "model-00001-of-00002.safetensors")
    checkpoint = opened(tmp_path, tensors, "model-00002-of-00002.safetensors")
    assert checkpoint.infos["experts.up.weight"].file == "model-00002-of-00002.safetensors"
    assert checkpoint.read_bytes("experts.up.weight", 0, 6).shape == (6, 34)


def test_codes_without_scales_are_refused(tmp_path):
    tensors = stored()
    del tensors["experts.up_scales"]
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'experts\.up_scales', the scales of .*download"):
        opened(tmp_path, tensors)


def test_scales_of_another_shape_are_refused(tmp_path):
    tensors = stored() | {"experts.up_scales": np.zeros((2, 3, 1), np.uint8)}
    with pytest.raises(CheckpointError, match=r"is U8 \[2, 3, 1\], but the scales of .* must be U8 \[2, 3, 2\]"):
        opened(tmp_path, tensors)


def test_other_bytes_stay_as_they_are(tmp_path):
    checkpoint = opened(tmp_path, {"a_blocks": np.zeros((4, 8), np.uint8)})
    assert checkpoint.infos["a_blocks"].dtype == "U8"
