"""The role of a tensor, read from its GGUF name (src/llama-quant.cpp, `tensor_get_category`)."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A category of tensors that mixes tell apart."""

    OUTPUT = "output"
    TOKEN_EMBD = "token_embd"
    ATTN_QKV = "attn_qkv"
    ATTN_KV_B = "attn_kv_b"
    ATTN_V = "attn_v"
    ATTN_K = "attn_k"
    ATTN_Q = "attn_q"
    ATTN_OUTPUT = "attn_output"
    FFN_UP = "ffn_up"
    FFN_GATE = "ffn_gate"
    FFN_DOWN = "ffn_down"
    OTHER = "other"


#: The projections that llama.cpp counts as "attention v", the most sensitive ones: one count for all three.
VALUE_ROLES = frozenset({Role.ATTN_V, Role.ATTN_QKV, Role.ATTN_KV_B})
#: Roles whose layer the rules ask for.
FFN_ROLES = frozenset({Role.FFN_UP, Role.FFN_GATE, Role.FFN_DOWN})

_WHOLE_NAMES = {
    "output.weight": Role.OUTPUT,
    "token_embd.weight": Role.TOKEN_EMBD,
    "per_layer_token_embd.weight": Role.TOKEN_EMBD,
}
#: Searched in this order, anywhere in the name.
_PARTS = {
    "attn_qkv.weight": Role.ATTN_QKV,
    "attn_kv_b.weight": Role.ATTN_KV_B,
    "attn_v.weight": Role.ATTN_V,
    "attn_k.weight": Role.ATTN_K,
    "attn_q.weight": Role.ATTN_Q,
    "attn_output.weight": Role.ATTN_OUTPUT,
    "ffn_up": Role.FFN_UP,
    "ffn_gate": Role.FFN_GATE,
    "ffn_down": Role.FFN_DOWN,
}


def role_of(name: str) -> Role:
    """Return the role of the tensor with this GGUF name."""
    if name in _WHOLE_NAMES:
        return _WHOLE_NAMES[name]
    return next((role for part, role in _PARTS.items() if part in name), Role.OTHER)
