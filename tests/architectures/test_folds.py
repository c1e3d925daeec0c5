"""Foldings are found where all their tensors are known, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from quantize_cli.architectures.folds import folds_of
from quantize_cli.gguf_file.fields import Field, ValueType, field

LLAMA = {
    "attn_norm.weight": (8,),
    "attn_q.weight": (8, 8),
    "attn_k.weight": (4, 8),
    "attn_v.weight": (4, 8),
    "attn_output.weight": (8, 8),
    "ffn_norm.weight": (8,),
    "ffn_gate.weight": (16, 8),
    "ffn_up.weight": (16, 8),
    "ffn_down.weight": (8, 16),
}
EXPERTS = {
    "ffn_gate_inp.weight": (3, 8),
    "ffn_gate_exps.weight": (3, 16, 8),
    "ffn_up_exps.weight": (3, 16, 8),
    "ffn_down_exps.weight": (3, 8, 16),
}


def found(tensors, architecture="llama", heads=4, kv_heads=2):
    """Return the foldings of a model of one block, by what is divided."""
    metadata = (
        field("general.architecture", ValueType.STRING, architecture),
        field(f"{architecture}.attention.head_count", ValueType.UINT32, heads),
        field(f"{architecture}.attention.head_count_kv", ValueType.UINT32, kv_heads),
    )
    shapes = {"token_embd.weight": (32, 8), **{f"blk.0.{name}": shape for name, shape in tensors.items()}}
    return {fold.maker: fold for fold in folds_of(metadata, shapes)}


def without(*names):
    return {name: shape for name, shape in LLAMA.items() if name not in names}


def test_all_foldings_of_a_llama():
    folds = found(LLAMA)
    assert {maker: fold.multiplied for maker, fold in folds.items()} == {
        "attn_norm": ("blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"),
        "ffn_norm": ("blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"),
        "attn_v": ("blk.0.attn_output.weight",),
        "ffn_up": ("blk.0.ffn_down.weight",),
    }
    assert {maker: fold.size for maker, fold in folds.items()} == {
        "attn_norm": 8,
        "ffn_norm": 8,
        "attn_v": 4,
        "ffn_up": 16,
    }


def test_query_heads_of_a_group_share_the_factors_of_their_values():
    assert found(LLAMA)["attn_v"].numbers.tolist() == [[0, 1, 0, 1, 2, 3, 2, 3]]
    one_group = {**LLAMA, "attn_k.weight": (2, 8), "attn_v.weight": (2, 8)}
    assert found(one_group, kv_heads=1)["attn_v"].numbers.tolist() == [[0, 1] * 4]


def test_every_expert_has_factors_of_its_own():
    tensors = {**without("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"), **EXPERTS}
    folds = found(tensors)
    assert folds["ffn_norm"].multiplied == tuple(f"blk.0.{name}" for name in EXPERTS if name != "ffn_down_exps.weight")
    assert folds["ffn_up_exps"].numbers.tolist() == np.arange(48).reshape(3, 16).tolist()
    assert folds["ffn_norm"].numbers.tolist() == [list(range(8))]


def test_fused_matrices_have_their_channels_in_the_last_rows():
    tensors = {
        **without("attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight"),
        "attn_qkv.weight": (16, 8),
        "ffn_up.weight": (32, 8),
    }
    folds = found(tensors, "phi3")
    assert (folds["attn_qkv"].first, folds["attn_qkv"].size) == (12, 4)
    assert (folds["ffn_up"].first, folds["ffn_up"].size) == (16, 16)


def test_biases_of_makers_are_divided_too():
    tensors = {**LLAMA, "attn_v.bias": (4,), "ffn_up.bias": (16,), "attn_q.bias": (8,)}
    folds = found(tensors)
    assert folds["attn_v"].divided == ("blk.0.attn_v.weight", "blk.0.attn_v.bias")
    assert folds["ffn_up"].divided == ("blk.0.ffn_up.weight", "blk.0.ffn_up.bias")
    assert len(folds["attn_norm"].divided) == 1


@pytest.mark.parametrize(
    ("tensors", "left"),
    [
        ({**LLAMA, "mystery.weight": (5, 8)}, set()),  # who knows what it reads
        ({**LLAMA, "attn_sub_norm.weight": (8,)}, set()),
        ({**LLAMA, "attn_v.scale": (1,)}, {"ffn_norm", "ffn_up"}),  # it belongs to one of the tensors
        (without("ffn_norm.weight"), {"attn_v", "ffn_up"}),  # what the feed-forward network reads is not known
        (without("ffn_gate.weight"), {"attn_norm", "attn_v", "ffn_norm"}),  # the activation is between up and down
        ({**LLAMA, "attn_v.weight": (3, 8)}, {"attn_norm", "ffn_norm", "ffn_up"}),
        ({**LLAMA, "attn_norm.weight": (7,)}, {"attn_v", "ffn_norm", "ffn_up"}),
        ({**LLAMA, "attn_v.bias": (3,)}, {"attn_norm", "ffn_norm", "ffn_up"}),
    ],
    ids=["unknown matrix", "unknown norm", "scale", "no norm", "no gate", "heads", "norm's size", "bias' size"],
)
def test_what_does_not_fit_is_left_out(tensors, left):
    assert set(found(tensors)) == left


def test_an_unknown_family_is_not_folded():
    assert found(LLAMA, "gpt-oss") == {}


def test_heads_can_differ_from_block_to_block():
    shapes = {f"blk.{block}.{name}": shape for block in (0, 1) for name, shape in LLAMA.items()}
    metadata = (
        field("general.architecture", ValueType.STRING, "llama"),
        field("llama.attention.head_count", ValueType.UINT32, 4),
        Field("llama.attention.head_count_kv", ValueType.ARRAY, (2, 1), ValueType.INT32),
    )
    folds = {(fold.block, fold.maker) for fold in folds_of(metadata, shapes)}
    assert (0, "attn_v") in folds
    assert (1, "attn_v") not in folds
    assert (1, "attn_norm") in folds
