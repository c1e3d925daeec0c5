"""The scripts that measure quality: what llama-perplexity prints is read, and methods touch what they should."""

from __future__ import annotations

import importlib
from contextlib import closing
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from quantize_cli import open_checkpoint
from quantize_cli.literature.table import METHODS

QUALITY = Path(__file__).parents[2] / "quality"
#: The end of what llama-perplexity has printed for SmolLM2-135M in Q4_K_M.
LOG = Path(__file__).with_name("llama-perplexity.log")


@pytest.fixture
def script(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(QUALITY))
    return importlib.import_module


def test_the_figures_of_llama_perplexity_are_read(tmp_path, script):
    llama_perplexity = script("llama_perplexity")
    figures = llama_perplexity.figures_of(LOG.read_text())
    assert figures == llama_perplexity.Figures(
        mean_kld=0.057262,
        mean_kld_error=0.001068,
        median_kld=0.038322,
        kld_99=0.391661,
        kld_99_9=1.040463,
        same_top=pytest.approx(0.86144),
        same_top_error=pytest.approx(0.00442),
        perplexity=33.136154,
        original_perplexity=31.877841,
        ln_ratio=0.038714,
        ln_ratio_error=0.005046,
    )
    file = tmp_path / "x.gguf"
    file.write_bytes(bytes(7))
    row = dict(zip(llama_perplexity.head().split("\t"), llama_perplexity.row(file, figures).split("\t"), strict=True))
    assert (row["file"], row["bytes"], row["mean_kld"]) == ("x.gguf", "7", "0.057262")


def test_a_log_without_figures_is_refused(script):
    with pytest.raises(ValueError, match="has not printed"):
        script("llama_perplexity").figures_of("llama_model_load: error loading model")


@pytest.mark.parametrize("name", METHODS)
def test_methods_touch_the_linear_layers_alone(name, llama, script):
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
