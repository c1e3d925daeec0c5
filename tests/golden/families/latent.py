"""Latent attention beside DeepSeek V2 and V3: GLM 5 with indexers, Kimi K2 and its kin, GLM-4.7-Flash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from golden.families.case import Case, Tensor
from golden.families.deepseek import V3, tensors
from golden.families.layouts import renamed
from golden.families.relatives import relative
from golden.families.shapes import Tensors, linear, norms
from golden.families.vocabularies import numbers, tokens
from golden.families.weights import around_one, around_zero

KIMI, GLM = relative("kimi-k2"), relative("glm4")
ENDS = [tokens(GLM)[token] for token in ("<|endoftext|>", "<|user|>", "<|observation|>")]

SCALING = cast("dict[str, float]", V3["rope_scaling"])

#: Kimi K2: one group of experts, another base, no MTP layer.
K2 = {
    **V3,
    **numbers(KIMI),
    "aux_loss_alpha": 0.001,
    "max_position_embeddings": 131072,
    "model_type": "deepseek_v3",
    "n_group": 1,
    "num_nextn_predict_layers": 0,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        **SCALING,
        "beta_fast": 1.0,
        "beta_slow": 1.0,
        "factor": 32.0,
    },
    "rope_theta": 50000.0,
    "routed_scaling_factor": 2.827,
    "seq_aux": True,
}
K25 = {
    "architectures": ["KimiK25ForConditionalGeneration"],
    "ignore_index": -100,
    "media_placeholder_token_id": tokens(KIMI)["<|media_pad|>"],
    "model_type": "kimi_k25",
    "text_config": {**K2, "model_type": "kimi_k2"},
    "tie_word_embeddings": False,
    "vision_config": {"model_type": "kimi_k25", "patch_size": 14, "vt_hidden_size": 32},
}
_GLM = {
    **{name: value for name, value in V3.items() if name not in ("bos_token_id", "ep_size", "scoring_func")},
    **numbers(GLM),
    "eos_token_id": ENDS,
    "n_group": 1,
    "pad_token_id": ENDS[0],
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 1000000,
}
#: GLM-4.7-Flash: widths of heads that differ for keys and values.
FLASH = {
    **_GLM,
    "architectures": ["Glm4MoeLiteForCausalLM"],
    "model_type": "glm4_moe_lite",
    "partial_rotary_factor": 1.0,
    "qk_nope_head_dim": 192,
    "routed_scaling_factor": 1.8,
    "v_head_dim": 256,
}
GLM5 = {
    **_GLM,
    "architectures": ["GlmMoeDsaForCausalLM"],
    "index_head_dim": 128,
    "index_n_heads": 4,
    "index_topk": 2048,
    "indexer_rope_interleave": True,
    "max_position_embeddings": 202752,
    "model_type": "glm_moe_dsa",
    "rope_interleave": True,
    "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"},
    "scoring_func": "sigmoid",
}
#: GLM 5.2: not every layer has an indexer of its own.
GLM52 = {
    **GLM5,
    "indexer_types": ["full", "shared", "full"],
    "max_position_embeddings": 1048576,
    "num_hidden_layers": 3,
}


def indexed(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors with those of the indexers."""
    found, hidden = tensors(config), config["hidden_size"]
    layers, heads, head = config["num_hidden_layers"], config["index_n_heads"], config["index_head_dim"]
    kinds = config.get("indexer_types", ["full"] * layers)
    for number in range(layers + config["num_nextn_predict_layers"]):
        if number < layers and kinds[number] != "full":
            continue
        prefix = f"model.layers.{number}.self_attn.indexer"
        found |= norms(around_one, head, f"{prefix}.k_norm")
        found[f"{prefix}.k_norm.bias"] = Tensor((head,), around_zero)
        found |= linear(f"{prefix}.weights_proj", heads, hidden) | linear(f"{prefix}.wk", head, hidden)
        found |= linear(f"{prefix}.wq_b", heads * head, config["q_lora_rank"])
    return found


IMAGES = {"vision_tower.encoder.blocks.0.wo.weight": Tensor((32, 32)), "mm_projector.proj.0.weight": Tensor((32, 32))}
WRAPPED = renamed(("model.", "language_model.model."), ("lm_head.", "language_model.lm_head."))
SAVED = {**FLASH, "kv_lora_rank": 160, "hidden_size": 320, "moe_intermediate_size": 96}
NO_MTP = {**SAVED, "num_nextn_predict_layers": 0}

CASES = (
    Case("Kimi-K2-small", K2, tensors(K2), KIMI, slow=True),
    Case("Kimi-K2.5", K25, tensors(K2) | IMAGES, KIMI, layout=WRAPPED, raw_config=True),
    Case("GLM-4.7-Flash-small", FLASH, tensors(FLASH), GLM),
    # Saved by transformers: the tensors of the MTP layer are missing, but not their number.
    Case("GLM-4.7-Flash-saved", SAVED, tensors(NO_MTP), GLM, dtype="float16", slow=True),
    Case("GLM-5-small", GLM5, indexed(GLM5), GLM),
    Case("GLM-5.2", GLM52, indexed(GLM52), GLM, slow=True),
)
