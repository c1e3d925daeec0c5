"""The class of DeepSeek V2 in models of other makers: Kimi-VL, DeepSeek-OCR, Unlimited-OCR, Youtu-LLM and Youtu-VL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.deepseek import V2_LITE, experts, tensors
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import real
from golden.families.weights import around_one

CUT = real("deepseek_v3")
BYTES = real("llama3_1")

#: Kimi-VL: Moonlight's decoder, which llama.cpp knows by its 27 layers.
KIMI_VL = {
    "architectures": ["KimiVLForConditionalGeneration"],
    "ignore_index": -100,
    "media_placeholder_token_id": 300,
    "model_type": "kimi_vl",
    "pad_token_id": 2,
    "text_config": {
        **V2_LITE,
        "architectures": ["DeepseekV3ForCausalLM"],
        "max_position_embeddings": 131072,
        "model_type": "deepseek_v3",
        "num_nextn_predict_layers": 0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 800000.0,
        "routed_scaling_factor": 2.446,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "vocab_size": 2019,
    },
    "vision_config": {"hidden_size": 32, "model_type": "moonvit", "patch_size": 14},
    "vocab_size": 2019,
}

#: DeepSeek-OCR: ordinary attention under the class of latent attention, the text part twice in config.json.
OCR_TEXT = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_size": 256,
    "intermediate_size": 512,
    "kv_lora_rank": None,
    "lm_head": True,
    "max_position_embeddings": 8192,
    "moe_intermediate_size": 256,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "q_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "rm_head": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "use_mla": False,
    "v_head_dim": 0,
    "vocab_size": 2019,
}
OCR = {
    **OCR_TEXT,
    "architectures": ["DeepseekOCRForCausalLM"],
    "candidate_resolutions": [[1024, 1024]],
    "global_view_pos": "head",
    "language_config": OCR_TEXT,
    "model_type": "deepseek_vl_v2",
    "projector_config": {"input_dim": 2048, "model_type": "mlp_projector", "n_embed": 256, "projector_type": "linear"},
    "tile_tag": "2D",
    "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "model_type": "vision"},
}
UNLIMITED = {
    **OCR,
    "architectures": ["UnlimitedOCRForCausalLM"],
    "model_type": "unlimited_ocr",
    "sliding_window": 256,
    "sliding_window_size": 256,
}

#: Youtu-LLM: latent attention without experts.
YOUTU = {
    "architectures": ["YoutuForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2000,
    "embedding_initializer_range": 0.02,
    "eos_token_id": 2001,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "kv_lora_rank": 256,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "youtu",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "q_lora_rank": 256,
    "qk_head_dim": 192,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_interleave": True,
    "rope_scaling": None,
    "rope_theta": 1600000,
    "tie_word_embeddings": True,
    "use_cache": True,
    "v_head_dim": 128,
    "vocab_size": 2009,
}
YOUTU_VL = {
    **YOUTU,
    "architectures": ["YoutuVLForConditionalGeneration"],
    "hidden_size": 320,
    "image_token_id": 2002,
    "intermediate_size": 160,
    "model_type": "youtu_vl",
    "rope_theta": 500000,
    "vision_config": {"hidden_size": 32, "model_type": "siglip2_vision_model", "num_hidden_layers": 1},
}


def ordinary(config: Mapping[str, Any]) -> Tensors:
    """Return a decoder with the experts of DeepSeek V2 and ordinary attention."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= attention(f"{prefix}.self_attn", hidden, heads, heads, hidden // heads)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if layer < config["first_k_dense_replace"]:
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
        else:
            found |= experts(f"{prefix}.mlp", config)
    return found


IMAGES = {
    "model.image_newline": Tensor((256,)),
    "model.projector.layers.weight": Tensor((32, 32)),
    "model.sam_model.blocks.0.attn.qkv.weight": Tensor((32, 32)),
    "model.sam_model.patch_embed.proj.weight": Tensor((32, 32)),
    "model.view_seperator": Tensor((256,)),
    "model.vision_model.transformer.layers.0.layer_norm1.weight": Tensor((32,)),
}
SIGLIP = {
    "merger.ln_q.weight": Tensor((32,)),
    "siglip2.vision_model.encoder.layers.0.mlp.fc1.weight": Tensor((32, 32)),
}
KIMI_IMAGES = {
    "multi_modal_projector.linear_1.weight": Tensor((32, 32)),
    "vision_tower.encoder.blocks.0.wo.weight": Tensor((32, 32)),
}
WRAPPED = renamed(("model.", "language_model.model."), ("lm_head.", "language_model.lm_head."))
DENSE = {"first_k_dense_replace": 2}
ODD_TEXT = {
    **OCR_TEXT,
    "hidden_size": 320,
    "moe_intermediate_size": 96,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
}
ODD = {**OCR, **ODD_TEXT, "architectures": OCR["architectures"], "language_config": ODD_TEXT}

CASES = (
    Case("Kimi-VL", KIMI_VL, tensors(KIMI_VL["text_config"]) | KIMI_IMAGES, CUT, layout=WRAPPED, slow=True),
    Case("DeepSeek-OCR", OCR, ordinary(OCR) | IMAGES, CUT),
    Case("DeepSeek-OCR-odd-rows", ODD, ordinary(ODD), CUT, dtype="float16", shards=2, slow=True),
    Case("Unlimited-OCR", UNLIMITED, ordinary(UNLIMITED) | IMAGES, CUT, slow=True),
    Case("Youtu-LLM", YOUTU, tensors(YOUTU | DENSE), BYTES, slow=True),
    Case("Youtu-VL", YOUTU_VL, tensors(YOUTU_VL | DENSE) | SIGLIP, BYTES, dtype="float16", slow=True),
)
