from __future__ import annotations

import pytest
from report_factory import made_up, tensor

from quantize_cli.report.places import place_of, places


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("token_embd.weight", ("token_embd", None)),
        ("blk.3.attn_q.weight", ("attn_q", 3)),
        ("blk.12.attn_q.bias", ("attn_q.bias", 12)),
        ("v.blk.0.ffn_up.weight", ("v.ffn_up", 0)),
        ("enc.blk.7.attn_rel_b.weight", ("enc.attn_rel_b", 7)),
        ("blk.99999999999.x.weight", ("blk.99999999999.x", None)),
        ("xblk.1.y", ("xblk.1.y", None)),
    ],
)
def test_a_name_is_a_kind_and_a_layer(name, place):
    assert place_of(name) == place


def test_every_tensor_has_its_place():
    tensors = made_up("Q8_0", 11).tensors
    found = places(tensors)
    assert found.layers == ("-", *map(str, range(11)))
    assert found.kinds == tuple(sorted(found.kinds))
    named = [(found.kinds[kind], found.layers[layer]) for kind, layer in zip(found.kind, found.layer, strict=True)]
    assert named[0] == ("token_embd", "-")
    assert ("ffn_down", "10") in named
    assert len(set(named)) == len(tensors)


def test_numbers_of_layers_far_apart_do_not_cost_anything():
    names = ("blk.0.x.weight", "blk.999999999.x.weight")
    found = places([tensor(name, (4, 32), "Q8_0", "base", 0.01, False) for name in names])
    assert found.layers == ("0", "999999999")
