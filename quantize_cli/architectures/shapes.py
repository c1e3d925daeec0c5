"""The shapes of GGUF tensors, row-major, in the symbols of sizes.py: one table for all families.

A shape is checked if the model gives the symbol's size. A tensor without a row here is not checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.sizes import Sizes

Shape = tuple[str, ...]

#: GGUF name -> shape; names of tensors in a layer are without "blk.N.".
SHAPES: Mapping[str, Shape] = {
    "token_embd.weight": ("vocab", "hidden"),
    "output_norm.weight": ("hidden",),
    "output_norm.bias": ("hidden",),
    "output.weight": ("vocab", "hidden"),
    "position_embd.weight": ("context", "hidden"),
    # attention
    "attn_norm.weight": ("hidden",),
    "attn_norm.bias": ("hidden",),
    "attn_q.weight": ("query", "hidden"),
    "attn_k.weight": ("key", "hidden"),
    "attn_v.weight": ("value", "hidden"),
    "attn_output.weight": ("hidden", "attention"),
    "attn_q.bias": ("query",),
    "attn_k.bias": ("key",),
    "attn_v.bias": ("value",),
    "attn_output.bias": ("hidden",),
    "attn_q_norm.weight": ("head",),
    "attn_k_norm.weight": ("head",),
    "post_attention_norm.weight": ("hidden",),
    # multi-head latent attention
    "attn_q_a.weight": ("q_lora", "hidden"),
    "attn_q_a_norm.weight": ("q_lora",),
    "attn_q_b.weight": ("query", "q_lora"),
    "attn_kv_a_mqa.weight": ("kv_lora_and_rope", "hidden"),
    "attn_kv_a_norm.weight": ("kv_lora",),
    "attn_k_b.weight": ("heads", "kv_lora", "nope"),
    "attn_v_b.weight": ("heads", "value_head", "kv_lora"),
    # linear attention
    "attn_qkv.weight": ("linear_qkv", "hidden"),
    "attn_gate.weight": ("linear_value", "hidden"),
    "ssm_conv1d.weight": ("linear_qkv", "linear_kernel"),
    "ssm_dt.bias": ("linear_value_heads",),
    "ssm_a": ("linear_value_heads",),
    "ssm_alpha.weight": ("linear_value_heads", "hidden"),
    "ssm_beta.weight": ("linear_value_heads", "hidden"),
    "ssm_norm.weight": ("linear_value_head",),
    "ssm_out.weight": ("hidden", "linear_value"),
    # feed-forward network
    "ffn_norm.weight": ("hidden",),
    "ffn_norm.bias": ("hidden",),
    "ffn_gate.weight": ("ffn", "hidden"),
    "ffn_up.weight": ("ffn", "hidden"),
    "ffn_down.weight": ("hidden", "ffn"),
    "ffn_gate.bias": ("ffn",),
    "ffn_up.bias": ("ffn",),
    "ffn_down.bias": ("hidden",),
    "post_ffw_norm.weight": ("hidden",),
    # experts
    "ffn_gate_inp.weight": ("experts", "hidden"),
    "exp_probs_b.bias": ("experts",),
    "ffn_gate_exps.weight": ("experts", "expert_ffn", "hidden"),
    "ffn_up_exps.weight": ("experts", "expert_ffn", "hidden"),
    "ffn_down_exps.weight": ("experts", "hidden", "expert_ffn"),
    "ffn_gate_inp_shexp.weight": ("one", "hidden"),
    "ffn_gate_shexp.weight": ("shared_ffn", "hidden"),
    "ffn_up_shexp.weight": ("shared_ffn", "hidden"),
    "ffn_down_shexp.weight": ("hidden", "shared_ffn"),
    # prediction of further tokens
    "nextn.eh_proj.weight": ("hidden", "two_hidden"),
    "nextn.enorm.weight": ("hidden",),
    "nextn.hnorm.weight": ("hidden",),
    "nextn.embed_tokens.weight": ("vocab", "hidden"),
    "nextn.shared_head_head.weight": ("vocab", "hidden"),
    "nextn.shared_head_norm.weight": ("hidden",),
}


def contradiction(
    name: str, shape: tuple[int, ...], sizes: Sizes, own: Mapping[str, Shape]
) -> tuple[int | None, ...] | None:
    """Return the shape that config.json gives a tensor, or None if `shape` agrees with it.

    Sizes that the model does not give agree with anything; they are None in the result.

    Args:
        name: GGUF name, without "blk.N.".
        shape: The tensor's row-major shape.
        sizes: The model's sizes.
        own: The family's rows, which override the common ones.
    """
    symbols = own.get(name) or SHAPES.get(name)
    if symbols is None:
        return None
    wanted = tuple(sizes.get(symbol) for symbol in symbols)
    agrees = len(wanted) == len(shape) and all(size in (None, given) for size, given in zip(wanted, shape, strict=True))
    return None if agrees else wanted
