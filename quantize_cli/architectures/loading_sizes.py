"""The sizes in tensor shapes, as llama.cpp derives them from metadata, in the symbols of sizes.py.

The reference is `load_hparams` (src/llama-model.cpp), src/llama-hparams.cpp, and `load_arch_tensors` of each
architecture (src/models/*.cpp). Where each layer has a value of its own, these architectures take the first layer's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quantize_cli.architectures.hyperparameters import Hyperparameters

Sizes = dict[str, int]

_HEAD = ("attention.key_length", "embedding_length", "attention.head_count")
_KV_HEADS = ("attention.head_count_kv", "attention.head_count")

#: Symbol -> the keys that it is made of, for messages.
KEYS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("embedding_length",),
    "ffn": ("feed_forward_length",),
    "heads": ("attention.head_count",),
    "head": _HEAD,
    "half_rotated": ("rope.dimension_count", *_HEAD),
    "query": ("attention.head_count", *_HEAD),
    "key": (*_KV_HEADS, *_HEAD),
    "value": (*_KV_HEADS, "attention.value_length", "embedding_length"),
    "fused_qkv": (*_KV_HEADS, *_HEAD, "attention.value_length"),
    "attention": ("attention.head_count", *_HEAD),
    "experts": ("expert_count",),
    "expert_ffn": ("expert_feed_forward_length", "feed_forward_length", "expert_used_count"),
    "shared_ffn": (
        "expert_shared_feed_forward_length",
        "expert_shared_count",
        "expert_feed_forward_length",
        "feed_forward_length",
    ),
    "two_hidden": ("embedding_length",),
    "q_lora": ("attention.q_lora_rank",),
    "kv_lora": ("attention.kv_lora_rank",),
    "kv_lora_and_rope": ("attention.kv_lora_rank", "rope.dimension_count"),
    "nope": ("attention.key_length_mla", "rope.dimension_count"),
    "value_head": ("attention.value_length_mla",),
    "linear_ba": ("ssm.time_step_rank",),
    "linear_kernel": ("ssm.conv_kernel",),
    "linear_value_heads": ("ssm.time_step_rank",),
    "linear_value_head": ("ssm.state_size",),
    "linear_value": ("ssm.state_size", "ssm.time_step_rank"),
    "linear_qkv": ("ssm.state_size", "ssm.time_step_rank", "ssm.group_count"),
}


def sizes_of(model: Hyperparameters, tokens: int) -> Sizes:
    """Return the sizes of a model of one of `OWN`'s architectures, whose metadata `check_loads` has accepted."""
    hidden, heads = model.natural("embedding_length") or 0, model.first("attention.head_count") or 0
    kv_heads = model.first("attention.head_count_kv")
    kv_heads = heads if kv_heads is None else kv_heads
    even = hidden // heads
    head, value_head = (
        _or(model.natural("attention.key_length"), even),
        _or(model.natural("attention.value_length"), even),
    )
    sizes = {
        "one": 1,
        "vocab": tokens,
        "hidden": hidden,
        "two_hidden": 2 * hidden,
        "ffn": model.first("feed_forward_length") or 0,
        "experts": model.natural("expert_count") or 0,
        "heads": heads,
        "head": head,
        "half_rotated": _or(model.natural("rope.dimension_count"), head) // 2,
        "query": heads * head,
        "key": kv_heads * head,
        "value": kv_heads * value_head,
        "attention": heads * head,
    }
    sizes |= OWN[model.architecture](model, sizes)
    return sizes | {"fused_qkv": sizes["query"] + sizes["key"] + sizes["value"]}


def _or(size: int | None, other: int) -> int:
    return other if size is None else size


def _llama(_model: Hyperparameters, sizes: Sizes) -> Sizes:
    return {"expert_ffn": sizes["ffn"]}


def _qwen2(_model: Hyperparameters, sizes: Sizes) -> Sizes:
    return {"query": sizes["hidden"], "attention": sizes["hidden"], "key": sizes["value"]}


def _qwen3(_model: Hyperparameters, sizes: Sizes) -> Sizes:
    return {"key": sizes["value"]}


def _experts(model: Hyperparameters, sizes: Sizes) -> Sizes:
    used = model.first("expert_used_count") or 1
    return {"expert_ffn": model.first("expert_feed_forward_length") or sizes["ffn"] // used}


def _qwen3moe(model: Hyperparameters, sizes: Sizes) -> Sizes:
    return _qwen3(model, sizes) | _experts(model, sizes)


def _qwen35(model: Hyperparameters, sizes: Sizes) -> Sizes:
    state, values = model.natural("ssm.state_size") or 0, model.natural("ssm.time_step_rank") or 0
    return {
        "query": 2 * sizes["query"],  # with the gate of the attention's output
        "linear_ba": 2 * values,
        "linear_kernel": model.natural("ssm.conv_kernel") or 0,
        "linear_value_heads": values,
        "linear_value_head": state,
        "linear_value": state * values,
        "linear_qkv": state * (values + 2 * (model.natural("ssm.group_count") or 0)),
    }


def _qwen35moe(model: Hyperparameters, sizes: Sizes) -> Sizes:
    shared = model.natural("expert_shared_feed_forward_length") or sizes["ffn"]
    return _qwen35(model, sizes) | _experts(model, sizes) | {"shared_ffn": shared}


def _deepseek2(model: Hyperparameters, sizes: Sizes) -> Sizes:
    key, value = model.natural("attention.key_length_mla") or 0, model.natural("attention.value_length_mla") or 0
    if not (key and value):
        key, value = sizes["head"], _or(model.natural("attention.value_length"), sizes["hidden"] // sizes["heads"])
    rope = _or(model.natural("rope.dimension_count"), sizes["head"])
    kv_lora, expert_ffn = model.natural("attention.kv_lora_rank") or 0, model.first("expert_feed_forward_length") or 0
    return {
        "expert_ffn": expert_ffn,
        "shared_ffn": expert_ffn * (model.natural("expert_shared_count") or 0),
        "query": sizes["heads"] * key,
        "attention": sizes["heads"] * value,
        "q_lora": model.natural("attention.q_lora_rank") or 0,
        "kv_lora": kv_lora,
        "kv_lora_and_rope": kv_lora + rope,
        "nope": key - rope,
        "value_head": value,
        "unsplit": sizes["heads"] * (key - rope + value),
    }


def _gemma3(_model: Hyperparameters, _sizes: Sizes) -> Sizes:
    return {}


#: Architecture -> its own sizes, made of the common ones.
OWN: Mapping[str, Callable[[Hyperparameters, Sizes], Sizes]] = {
    "llama": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "qwen3moe": _qwen3moe,
    "qwen3next": _qwen35moe,
    "qwen35": _qwen35,
    "qwen35moe": _qwen35moe,
    "deepseek2": _deepseek2,
    "gemma3": _gemma3,
}
