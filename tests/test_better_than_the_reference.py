"""Checkpoints that the reference cannot convert, or converts wrongly: what our files hold, computed here by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from golden.families import baichuan, gpt2, stablelm
from golden.families.case import Arrays, Case, Tensor, arrays, build
from golden.generate import generated

from quantize_cli import quantize


def converted(case: Case, folder: Path, format_name: str = "f32") -> Path:
    """Convert a case, and return the file."""
    output = folder / "model.gguf"
    quantize(build(case, folder), format_name, output, pre_tokenizer=case.vocabulary.pre_tokenizer, no_provenance=True)
    return output


def tensors_of(path: Path) -> Arrays:
    """Return the tensors of an F32 file, row-major."""
    return {tensor.name: np.asarray(tensor.data) for tensor in GGUFReader(path).tensors}


def permuted(matrix: np.ndarray, head: int) -> np.ndarray:
    """Change rotated halves to rotated neighbours."""
    return matrix.reshape(-1, 2, head // 2, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)


def test_baichuan_is_split_into_thirds(tmp_path):
    """The reference calls itself without an end."""
    made = tensors_of(converted(baichuan.CASE, tmp_path))
    fused = arrays(baichuan.CASE)["model.layers.1.self_attn.W_pack.weight"].astype(np.float32)
    queries, keys, values = np.split(fused, 3)
    assert np.array_equal(made["blk.1.attn_q.weight"], permuted(queries, 64))
    assert np.array_equal(made["blk.1.attn_k.weight"], permuted(keys, 64))
    assert np.array_equal(made["blk.1.attn_v.weight"], values)


def test_stablelm_12b_keeps_the_norms_of_its_heads(tmp_path):
    """The reference loses them, and llama.cpp computes without them."""
    case = stablelm.LARGE_CASE
    made = tensors_of(converted(case, tmp_path))
    drawn = arrays(case)
    for kind, count in (("q", 4), ("k", 2)):
        norms = [drawn[f"model.layers.0.self_attn.{kind}_layernorm.norms.{head}.weight"] for head in range(count)]
        assert np.array_equal(made[f"blk.0.attn_{kind}_norm.weight"], np.stack(norms).astype(np.float32))


def test_gpt2_of_the_hub_is_converted_without_its_masks(tmp_path):
    """The reference fails on the masks."""
    plain = next(case for case in gpt2.CASES if case.name == "GPT2-without-prefix")
    masks = {f"h.{layer}.attn.bias": Tensor((1, 1, 128, 128)) for layer in range(2)}
    hub = Case(plain.name, plain.config, {**plain.tensors, **masks}, plain.vocabulary, plain.dtype)
    files = []
    for case in (plain, hub):
        folder = tmp_path / str(len(files))
        folder.mkdir()
        files.append(converted(case, folder, "q4_k_m").read_bytes())
    assert files[0] == files[1]


@pytest.mark.slow
@pytest.mark.parametrize("case", [baichuan.CASE, stablelm.LARGE_CASE], ids=lambda case: case.name)
def test_llama_cpp_generates(case, tmp_path):
    assert generated(converted(case, tmp_path, "q4_k_m")) == 3
