"""Gemma 4: dense, with embeddings for each layer, with experts, and without a part for images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.gemma3 import NEW
from golden.families.relatives import relative
from golden.families.shapes import Tensors, ends, mlp, norms
from golden.families.vocabularies import tokens
from golden.families.weights import around_one

VOCABULARY = relative("gemma4")
IDS = tokens(VOCABULARY)
VOCAB_SIZE = len(IDS)

#: `text_config` with the keys of Gemma 4 31B's on the Hub.
DENSE = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_k_eq_v": True,
    "bos_token_id": IDS["<bos>"],
    "enable_moe_block": False,
    "eos_token_id": 1,
    "expert_intermediate_size": None,
    "final_logit_softcapping": 30.0,
    "global_head_dim": 128,
    "head_dim": 64,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 256,
    "hidden_size_per_layer_input": 0,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 2048,
    "model_type": "gemma4_text",
    "num_attention_heads": 4,
    "num_experts": None,
    "num_global_key_value_heads": 1,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_kv_shared_layers": 0,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "rope_parameters": {
        "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
    },
    "sliding_window": 1024,
    "tie_word_embeddings": True,
    "top_k_experts": None,
    "use_bidirectional_attention": "vision",
    "use_cache": True,
    "use_double_wide_mlp": False,
    "vocab_size": VOCAB_SIZE,
    "vocab_size_per_layer_input": VOCAB_SIZE,
}


def conditional(text: Mapping[str, Any], kind: str = "Gemma4ForConditionalGeneration") -> dict[str, Any]:
    """Return a config.json with the keys of Gemma 4's on the Hub."""
    return {
        "architectures": [kind],
        "audio_config": None,
        "audio_token_id": IDS["<|audio|>"],
        "boa_token_id": IDS["<|audio>"],
        "boi_token_id": IDS["<|image>"],
        "dtype": "bfloat16",
        "eoa_token_id": IDS["<audio|>"],
        "eoa_token_index": IDS["<audio|>"],
        "eoi_token_id": IDS["<image|>"],
        "eos_token_id": [1, IDS["<turn|>"]],
        "image_token_id": IDS["<|image|>"],
        "initializer_range": 0.02,
        "model_type": "gemma4",
        "text_config": text,
        "tie_word_embeddings": True,
        "video_token_id": IDS["<|video|>"],
        "vision_config": {
            "head_dim": 16,
            "hidden_size": 32,
            "intermediate_size": 64,
            "model_type": "gemma4_vision",
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "num_key_value_heads": 2,
            "patch_size": 16,
        },
        "vision_soft_tokens_per_image": 280,
    }


def tensors(config: Mapping[str, Any], shared_keys: bool = True) -> Tensors:
    """Return the text model's tensors; `shared_keys` tells whether layers store keys that they do not use."""
    hidden, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    width, own = config["hidden_size_per_layer_input"], layers - config["num_kv_shared_layers"]
    found = ends(config["vocab_size"], hidden, around_one, tied=True)
    if width:
        found["model.embed_tokens_per_layer.weight"] = Tensor((config["vocab_size"], layers * width))
        found["model.per_layer_model_projection.weight"] = Tensor((layers * width, hidden))
        found |= norms(around_one, width, "model.per_layer_projection_norm")
    for layer, kind in enumerate(config["layer_types"]):
        full = kind == "full_attention"
        head = config["global_head_dim" if full else "head_dim"]
        alike = full and config["attention_k_eq_v"]
        kv_heads = config["num_global_key_value_heads" if alike else "num_key_value_heads"]
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found[f"{attn}.q_proj.weight"] = Tensor((heads * head, hidden))
        found[f"{attn}.o_proj.weight"] = Tensor((hidden, heads * head))
        found |= norms(around_one, head, f"{attn}.q_norm")
        if layer < own or shared_keys:
            found |= norms(around_one, head, f"{attn}.k_norm")
            for name in "k" if alike else "kv":
                found[f"{attn}.{name}_proj.weight"] = Tensor((kv_heads * head, hidden))
        around = ("input", "post_attention", "pre_feedforward", "post_feedforward")
        found |= norms(around_one, hidden, *(f"{prefix}.{where}_layernorm" for where in around))
        found[f"{prefix}.layer_scalar"] = Tensor((1,), around_one)
        ffn = config["intermediate_size"] * (2 if config["use_double_wide_mlp"] and layer >= own else 1)
        found |= mlp(f"{prefix}.mlp", hidden, ffn)
        if width:
            found[f"{prefix}.per_layer_input_gate.weight"] = Tensor((width, hidden))
            found[f"{prefix}.per_layer_projection.weight"] = Tensor((hidden, width))
            found |= norms(around_one, hidden, f"{prefix}.post_per_layer_input_norm")
        if config["enable_moe_block"]:
            found |= experts(prefix, config)
    return found


def experts(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return the experts of a layer, their router, and their norms."""
    hidden, number, ffn = config["hidden_size"], config["num_experts"], config["moe_intermediate_size"]
    where = ("pre_feedforward_layernorm_2", "post_feedforward_layernorm_1", "post_feedforward_layernorm_2")
    return norms(around_one, hidden, *(f"{prefix}.{name}" for name in where)) | {
        f"{prefix}.router.proj.weight": Tensor((number, hidden)),
        f"{prefix}.router.scale": Tensor((hidden,), around_one),
        f"{prefix}.router.per_expert_scale": Tensor((number,), around_one),
        f"{prefix}.experts.gate_up_proj": Tensor((number, 2 * ffn, hidden)),
        f"{prefix}.experts.down_proj": Tensor((number, hidden, ffn)),
    }


IMAGES = {
    "model.embed_vision.embedding_projection.weight": Tensor((256, 32)),
    "model.vision_tower.encoder.layers.0.self_attn.q_proj.linear.weight": Tensor((32, 32)),
    "model.vision_tower.patch_embedder.position_embedding_table": Tensor((2, 16, 32)),
    "model.vision_tower.std_bias": Tensor((32,)),
}
SMALL = {
    **DENSE,
    "attention_k_eq_v": False,
    "hidden_size_per_layer_input": 32,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "num_global_key_value_heads": None,
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 2,
    "use_bidirectional_attention": None,
    "use_double_wide_mlp": True,
}
MOE = {key: value for key, value in DENSE.items() if key != "expert_intermediate_size"} | {
    "enable_moe_block": True,
    "moe_intermediate_size": 256,
    "num_experts": 4,
    "top_k_experts": 2,
}
ODD = {**DENSE, "architectures": ["Gemma4ForCausalLM"], "hidden_size": 288, "intermediate_size": 352}
UNIFIED = {
    **conditional({**DENSE, "model_type": "gemma4_unified_text"}, "Gemma4UnifiedForConditionalGeneration"),
    "audio_config": {"audio_embed_dim": 32, "model_type": "gemma4_unified_audio"},
    "model_type": "gemma4_unified",
    "vision_config": {"mm_embed_dim": 32, "model_type": "gemma4_unified_vision"},
}
UNIFIED_IMAGES = {
    "model.embed_audio.embedding_projection.weight": Tensor((256, 32)),
    "model.vision_embedder.patch_dense.weight": Tensor((32, 48)),
    "model.vision_embedder.pos_embedding": Tensor((16, 2, 32)),
}
SUPPRESSING = replace(
    VOCABULARY,
    files={**VOCABULARY.files, "generation_config.json": json.dumps({"suppress_tokens": [5, 6]}).encode()},
)

CASES = (
    Case("Gemma4-dense", conditional(DENSE), tensors(DENSE) | IMAGES, VOCABULARY, layout=NEW),
    Case("Gemma4-E2B", conditional(SMALL), tensors(SMALL) | IMAGES, VOCABULARY, layout=NEW, slow=True),
    # Layers that share keys and values do not store any.
    Case("Gemma4-E4B", conditional(SMALL), tensors(SMALL, shared_keys=False), VOCABULARY, layout=NEW, slow=True),
    Case("Gemma4-MoE", conditional(MOE), tensors(MOE) | IMAGES, VOCABULARY, layout=NEW, slow=True),
    Case("Gemma4-unified", UNIFIED, tensors(DENSE) | UNIFIED_IMAGES, SUPPRESSING, layout=NEW, slow=True),
    Case("Gemma4-odd-rows", ODD, tensors(ODD), VOCABULARY, dtype="float16", slow=True),
)
