"""The parts of layers that families share: the GGUF tensors that a checkpoint must have."""

from __future__ import annotations

from collections.abc import Iterable

from quantize_cli.architectures.common import EXPERTS
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.model import Model

ATTENTION = Part(("attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"))
#: Attention without a norm before it.
PROJECTIONS = Part(ATTENTION.names[1:])
QKV_BIAS = Part(("attn_q.bias", "attn_k.bias", "attn_v.bias"))
QK_NORM = Part(("attn_q_norm.weight", "attn_k_norm.weight"))
OUTPUT_BIAS = Part(("attn_output.bias",))
FFN_BIAS = Part(("ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"))
FFN_NORM = Part(("ffn_norm.weight",))
FFN_NORM_BIAS = Part(("ffn_norm.bias",))
ATTENTION_NORM_BIAS = Part(("attn_norm.bias",))
#: Norms behind both halves of a layer.
POST_NORMS = Part(("post_attention_norm.weight", "post_ffw_norm.weight"))
#: Attention whose queries, keys and values are one matrix.
FUSED_ATTENTION = Part(("attn_norm.weight", "attn_qkv.weight", "attn_output.weight"))
#: A feed-forward network without gates.
PLAIN_FFN = Part(("ffn_up.weight", "ffn_down.weight"))
PLAIN_FFN_BIAS = Part(("ffn_up.bias", "ffn_down.bias"))
FFN = Part(("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"))
EXPERT_FFN = Part(("ffn_gate_inp.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"))
SHARED_EXPERT_FFN = Part(("ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"))


def dense_first(model: Model) -> range:
    """Return the first layers, which do not have experts although later ones do; all layers if no layer has experts."""
    dense = model.config.natural("first_k_dense_replace")
    if dense is None:
        dense = model.layers if model.config.get("n_routed_experts") is None else 0
    return range(min(dense, model.layers))


def sparse_rest(model: Model) -> range:
    """Return the layers after those of `dense_first`."""
    return range(len(dense_first(model)), model.layers)


def leading_layers(model: Model) -> range:
    """Return the first layers, which do not have experts, by `num_dense_layers`."""
    return range(min(model.config.natural("num_dense_layers") or 0, model.layers))


def layers_behind(model: Model) -> range:
    """Return the layers after those of `leading_layers`."""
    return range(len(leading_layers(model)), model.layers)


def with_experts(model: Model) -> Iterable[int]:
    """Return all layers of a model with experts, or none of a model without experts."""
    return range(model.layers) if model.config.get(*EXPERTS) is not None else ()


def without_experts(model: Model) -> Iterable[int]:
    """Return all layers of a model without experts, or none of a model with experts."""
    return range(model.layers) if model.config.get(*EXPERTS) is None else ()
