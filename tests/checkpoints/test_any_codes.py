"""Codes and scales of any dtype and shape: they are decoded, left as they are, or refused in a sentence."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.encodings.methods import METHODS, decodings
from quantize_cli.checkpoints.safetensors_header import DTYPE_BITS
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError

GROUPS = {"a": {"weights": {"num_bits": 4, "strategy": "group", "group_size": 8}}}
#: Method -> the rest of what config.json states, and tensors that fit it: dtype and shape by the end of the name.
FITTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bitnet": ({}, {"weight": ("U8", (3, 8)), "weight_scale": ("BF16", (1,))}),
    "compressed-tensors": (
        {"format": "pack-quantized", "config_groups": GROUPS},
        {"weight_packed": ("I32", (3, 2)), "weight_scale": ("BF16", (3, 2)), "weight_zero_point": ("I32", (1, 2))},
    ),
    "fp8": (
        {"weight_block_size": [2, 3]},
        {"weight": ("F8_E4M3", (3, 8)), "weight_scale_inv": ("F32", (2, 3))},
    ),
    "gptq": (
        {"bits": 4},
        {"qweight": ("I32", (2, 8)), "qzeros": ("I32", (3, 1)), "scales": ("F16", (3, 8)), "g_idx": ("I32", (16,))},
    ),
    "modelopt": ({"quant_algo": "FP8"}, {"weight": ("F8_E4M3", (2, 3, 8)), "weight_scale": ("F32", (2, 3))}),
}
DTYPES = ("F8_E4M3", "I8", "U8", "I32", "F32", "BF16", "F8_E8M0", "I64")


def changed(rng, tensors):
    """Change the dtypes and shapes of some tensors, or lose them."""
    found = dict(tensors)
    for part in rng.sample(sorted(found), rng.randint(0, min(2, len(found)))):
        dtype, shape = found.pop(part)
        if rng.random() < 0.4:
            found[part] = rng.choice(DTYPES), shape
        elif rng.random() < 0.8:
            found[part] = dtype, tuple(rng.choice((0, 1, 2, 3, 8)) for _ in range(rng.randint(0, 3)))
    return {
        f"a.{part}": TensorInfo(f"a.{part}", dtype, shape, math.prod(shape) * DTYPE_BITS[dtype] // 8, "a.safetensors")
        for part, (dtype, shape) in found.items()
    }


def reader(infos, byte):
    """A function that reads rows in which all bytes are alike."""

    def read(name, start, stop):
        info = infos[name]
        assert 0 <= start <= stop <= info.rows
        return np.full((stop - start, info.nbytes // max(info.rows, 1)), byte, np.uint8)

    return read


def test_every_method_has_tensors_that_fit():
    assert FITTING.keys() == METHODS.keys()


@pytest.mark.parametrize("method", FITTING)
def test_nothing_ends_in_an_unexpected_error(method, tmp_path):
    rng, ends = random.Random(method), set()
    section, tensors = FITTING[method]
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": method, **section}}))
    for _ in range(300):
        infos = changed(rng, tensors)
        try:
            found = decodings(infos, FolderSidecars(tmp_path)).tensors
            for decoding in found:
                rows = decoding.rows(reader(infos, method == "bitnet"), 0, decoding.info.rows)
                assert rows.size == decoding.info.elements
        except CheckpointError:
            ends.add("refused")
        else:
            ends.add("decoded" if found else "left")
    assert ends == {"decoded", "left", "refused"}
