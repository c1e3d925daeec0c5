"""Tensor layouts that families share."""

from __future__ import annotations

from quantize_cli.architectures.family import Layout, Slot

#: The decoder of Llama and its descendants: RMS norms, grouped-query attention, gated feed-forward network.
DENSE_DECODER: Layout = {
    "token_embd.weight": Slot(lambda d: (d.vocab, d.hidden)),
    "output_norm.weight": Slot(lambda d: (d.hidden,)),
    "output.weight": Slot(lambda d: (d.vocab, d.hidden)),
    "blk.{bid}.attn_norm.weight": Slot(lambda d: (d.hidden,)),
    "blk.{bid}.attn_q.weight": Slot(lambda d: (d.query, d.hidden)),
    "blk.{bid}.attn_k.weight": Slot(lambda d: (d.key, d.hidden)),
    "blk.{bid}.attn_v.weight": Slot(lambda d: (d.key, d.hidden)),
    "blk.{bid}.attn_output.weight": Slot(lambda d: (d.hidden, d.query)),
    "blk.{bid}.ffn_norm.weight": Slot(lambda d: (d.hidden,)),
    "blk.{bid}.ffn_gate.weight": Slot(lambda d: (d.ffn, d.hidden)),
    "blk.{bid}.ffn_up.weight": Slot(lambda d: (d.ffn, d.hidden)),
    "blk.{bid}.ffn_down.weight": Slot(lambda d: (d.hidden, d.ffn)),
}

QKV_BIAS: Layout = {
    "blk.{bid}.attn_q.bias": Slot(lambda d: (d.query,)),
    "blk.{bid}.attn_k.bias": Slot(lambda d: (d.key,)),
    "blk.{bid}.attn_v.bias": Slot(lambda d: (d.key,)),
}

OUTPUT_BIAS: Layout = {
    "blk.{bid}.attn_output.bias": Slot(lambda d: (d.hidden,)),
}

FFN_BIAS: Layout = {
    "blk.{bid}.ffn_gate.bias": Slot(lambda d: (d.ffn,)),
    "blk.{bid}.ffn_up.bias": Slot(lambda d: (d.ffn,)),
    "blk.{bid}.ffn_down.bias": Slot(lambda d: (d.hidden,)),
}

QK_NORM: Layout = {
    "blk.{bid}.attn_q_norm.weight": Slot(lambda d: (d.head,)),
    "blk.{bid}.attn_k_norm.weight": Slot(lambda d: (d.head,)),
}


def optional(layout: Layout) -> Layout:
    """The same tensors, which a checkpoint may go without."""
    return {name: slot.optional() for name, slot in layout.items()}
