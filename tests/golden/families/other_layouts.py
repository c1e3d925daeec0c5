"""Dense models as other tools and classes save them: without a head or a prefix, inside a larger model, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from golden.families import deepseek
from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import QWEN_3_SPLIT, llama_json, llama_sentencepiece, qwen
from golden.families.weights import around_one, fine


def config(class_name: str, model_type: str, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of the Hub's."""
    return {
        "architectures": [class_name],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 256,
        "intermediate_size": 512,
        "max_position_embeddings": 2048,
        "model_type": model_type,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "vocab_size": 320,
        **more,
    }


def tensors(config: Mapping[str, Any], *, bias: bool = False, qk_norm: bool = False) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, head = config["hidden_size"], config["head_dim"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        if bias:
            found |= {f"{attn}.{x}_proj.bias": Tensor(found[f"{attn}.{x}_proj.weight"].shape[:1]) for x in "qkv"}
        if qk_norm:
            found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


def headless(tensors: Tensors) -> Tensors:
    """Return the tensors without the head, under the names of the base class."""
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name != "lm_head.weight"}


#: Parts of larger models, which a text model's file does not have.
TOWERS = {
    "vision_tower.encoder.layers.0.mlp.fc1.weight": Tensor((32, 32)),
    "multi_modal_projector.linear_1.weight": Tensor((32, 32)),
    "model.audio_tower.conv1.bias": Tensor((32,)),
    "model.visual.patch_embed.proj.weight": Tensor((8, 3, 2, 4, 4)),
}


def in_float64(tensors: Tensors) -> Tensors:
    """Return the tensors with values that float32 must round."""
    return {
        name: replace(tensor, fill=fine(tensor.fill), dtype="float64") if tensor.dtype is None else tensor
        for name, tensor in tensors.items()
    }


def _every_third_in_bfloat16(tensors: Tensors) -> Tensors:
    return {
        name: replace(tensor, dtype="bfloat16") if number % 3 == 0 else tensor
        for number, (name, tensor) in enumerate(in_float64(tensors).items())
    }


LLAMA = config("LlamaForCausalLM", "llama", vocab_size=314)  # the tokens of `llama_json`
BASE = {**LLAMA, "architectures": ["LlamaModel"]}
QWEN2 = config("Qwen2Model", "qwen2", bos_token_id=280, eos_token_id=282)
QWEN3 = config("Qwen3Model", "qwen3", bos_token_id=280, eos_token_id=282)
DENSE = tensors(LLAMA)
LLAMA_WITH_TOWERS = {**DENSE, **TOWERS}
DEEPSEEK = deepseek.CASES[0]

CASES = (
    Case("Llama-base-class", BASE, headless(DENSE), llama_json()),
    # The reference knows the base class of Llama but not of Mistral, whose decoder is the same.
    Case(
        "Mistral-base-class",
        config("MistralModel", "mistral", vocab_size=314),
        headless(DENSE),
        llama_json(),
        weights_of="Llama-base-class",
        refusal="MistralModel is not supported",
    ),
    Case("Qwen2-base-class", QWEN2, headless(tensors(QWEN2, bias=True)), qwen(QWEN_3_SPLIT, "qwen2")),
    Case("Qwen3-base-class", QWEN3, headless(tensors(QWEN3, qk_norm=True)), qwen(QWEN_3_SPLIT, "qwen2")),
    Case("Llama-without-prefix", LLAMA, DENSE, llama_sentencepiece(), layout=renamed(("model.", ""))),
    Case(
        "Llama-in-a-larger-model",
        LLAMA,
        LLAMA_WITH_TOWERS,
        llama_json(),
        layout=renamed(("model.layers.", "language_model.model.layers."), ("lm_head.", "language_model.lm_head.")),
    ),
    Case(
        "Llama-as-text-model",
        LLAMA,
        LLAMA_WITH_TOWERS,
        llama_json(),
        layout=renamed(("model.layers.", "model.text_model.layers."), ("model.embed", "model.text_model.embed")),
    ),
    Case("Llama-float64", LLAMA, in_float64(DENSE), llama_json(), dtype="float64"),
    Case("Llama-some-in-float64", LLAMA, _every_third_in_bfloat16(DENSE), llama_json(), dtype="float64"),
    # Transposed matrices in float64.
    replace(DEEPSEEK, name="DeepSeek-float64", tensors=in_float64(DEEPSEEK.tensors), dtype="float64"),
)
