"""Experts that are stored transposed, gates and others in one matrix: a family that the benchmarks make up."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER
from gguf import GGUFReader
from safetensors.numpy import load_file

from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.mixes.find import find_format
from quantize_cli.planning.planner import make_plan
from quantize_cli.run import rows
from quantize_cli.run.executor import run

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of 4 experts, and the family in the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        import generate_checkpoint
        import transposed_experts

        patch.setitem(FAMILIES, generate_checkpoint.TRANSPOSED, transposed_experts.FAMILY)
        folder = tmp_path_factory.mktemp("transposed") / "model"
        generate_checkpoint.generate(folder, generate_checkpoint.SIZES["moe-tiny-transposed"])
        yield folder


def converted(model, format_name, **options):
    output = BytesIO()
    checkpoint = open_checkpoint(model)
    run([make_plan(checkpoint, find_format(format_name), PRE_TOKENIZER)], checkpoint, [[output]], **options)
    return output.getvalue()


def test_every_expert_is_transposed(model, tmp_path):
    held: dict[str, np.ndarray] = {}
    for shard in model.glob("*.safetensors"):
        held |= load_file(shard)
    both = held["model.layers.0.mlp.experts.gate_up_proj"]
    assert (both.shape, both.dtype) == ((4, 256, 1024), ml_dtypes.bfloat16)
    gates, others = np.split(both, 2, axis=2)
    expected = {"gate": gates, "up": others, "down": held["model.layers.0.mlp.experts.down_proj"]}
    path = tmp_path / "model.gguf"
    path.write_bytes(converted(model, "f32", threads=2))
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    for name, experts in expected.items():
        tensor = tensors[f"blk.0.ffn_{name}_exps.weight"]
        assert np.array_equal(tensor.data, experts.swapaxes(1, 2).astype(np.float32))


@pytest.mark.parametrize("format_name", ["q8_0", "q4_k_m"])
def test_neither_threads_nor_slabs_nor_bands_change_a_byte(format_name, model, monkeypatch):
    usual = converted(model, format_name, threads=2)
    assert converted(model, format_name, threads=8) == usual
    assert converted(model, format_name, threads=2, slab_weights=3000) == usual
    monkeypatch.setattr(rows, "BAND_BYTES", 100_000)  # of 524,288 in an expert's matrix
    assert converted(model, format_name, threads=8, slab_weights=3000) == usual
