"""The scripts that measure quality: what llama-perplexity prints is read, and methods touch what they should."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from pathlib import Path
from types import ModuleType

import ml_dtypes
import numpy as np
import pytest

from quantize_cli import open_checkpoint
from quantize_cli.literature.table import METHODS

QUALITY = Path(__file__).parents[2] / "quality"
#: The end of what llama-perplexity has printed for SmolLM2-135M in Q4_K_M.
LOG = Path(__file__).with_name("llama-perplexity.log")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"quality_{name}", QUALITY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_of_llama_perplexity_are_read(tmp_path):
    llama_cpp = script("llama_cpp")
    figures = llama_cpp.figures_of(LOG.read_text())
    file = tmp_path / "x.gguf"
    file.write_bytes(bytes(7))
    assert FIGURES == figures
    header, row = llama_cpp.head().split("\t"), llama_cpp.row(file, figures).split("\t")
    assert dict(zip(header, row, strict=True)) | {"file": "x.gguf", "bytes": "7"} == dict(zip(header, row, strict=True))
    assert float(row[header.index("mean_kld")]) == figures.mean_kld


def test_a_log_without_figures_is_refused():
    with pytest.raises(ValueError, match="has not printed"):
        script("llama_cpp").figures_of("llama_model_load: error loading model")


@pytest.mark.parametrize("name", METHODS)
def test_methods_touch_the_linear_layers_alone(name, llama):
    round_trip = script("round_trip")
    with closing(open_checkpoint(llama)) as checkpoint:
        tensors, sizes = round_trip.rounded(checkpoint, name, {})
        changed = []
        for info in checkpoint.infos.values():
            stored = checkpoint.read_bytes(info.name, 0, info.rows)
            source = stored.reshape(-1).view(ml_dtypes.bfloat16).astype(np.float32).reshape(info.shape)
            assert tensors[info.name].shape == info.shape
            if not np.array_equal(tensors[info.name], source):
                changed.append(info.name)
    linear = [held for held in tensors if held.endswith("_proj.weight")]
    assert changed == [held for held in tensors if held in linear]
    assert sizes.linear_weights == sum(tensors[held].size for held in linear)
    assert sizes.weights == sum(tensor.size for tensor in tensors.values())
    kept = 16 * (sizes.weights - sizes.linear_weights)
    bits = round(sizes.linear_bits_per_weight * sizes.linear_weights) + kept
    assert sizes.bytes == -(-bits // 8)
    assert 0 < sizes.relative_rmse < 0.7
