"""GLM-OCR, Solar Open, and the GLM 4 of 2024, in its own layout and in that of transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from golden.families.case import Case, Tensor, Vocabulary
from golden.families.glm import ENDS, GLM4, GLM4V, MOE, VOCABULARY, dense, sparse
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, biased, ends, linear, norms
from golden.families.vocabularies import QWEN_3_SPLIT, qwen
from golden.families.weights import around_one

_GLM4V_TEXT = cast("dict[str, Any]", GLM4V["text_config"])
OCR_TEXT = {
    **{name: value for name, value in _GLM4V_TEXT.items() if name not in ("rope_scaling", "rope_theta")},
    "attention_bias": False,
    "head_dim": 64,
    "hidden_size": 256,
    "intermediate_size": 512,
    "model_type": "glm_ocr_text",
    "num_attention_heads": 4,
    "num_nextn_predict_layers": 1,
    "partial_rotary_factor": 1.0,
    "rope_parameters": {
        "mrope_section": [8, 12, 12],
        "partial_rotary_factor": 1.0,
        "rope_theta": 10000,
        "rope_type": "default",
    },
}
OCR = {
    "architectures": ["GlmOcrForConditionalGeneration"],
    "image_token_id": 315,
    "model_type": "glm_ocr",
    "text_config": OCR_TEXT,
    "tie_word_embeddings": False,
    "vision_config": {"depth": 1, "hidden_size": 32, "model_type": "glm_ocr_vision"},
}
SOLAR = {
    **{name: value for name, value in MOE.items() if name != "num_nextn_predict_layers"},
    "architectures": ["SolarOpenForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 281,
    "eos_token_id": 280,
    "first_k_dense_replace": 0,
    "model_type": "solar_open",
    "pad_token_id": 280,
    "partial_rotary_factor": 1.0,
    "vocab_size": 320,
    "rope_scaling": {"factor": 2.0, "original_max_position_embeddings": 65536, "type": "yarn"},
}
#: As transformers has it: the reference takes the hidden size for the context.
HF = {
    **{name: value for name, value in GLM4.items() if name != "partial_rotary_factor"},
    "architectures": ["GlmForCausalLM"],
    "attention_bias": True,
    "max_position_embeddings": 131072,
    "model_type": "glm",
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1.5625e-07,
}
CHAT = {
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True,
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["ChatGLMModel"],
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"},
    "bias_dropout_fusion": True,
    "eos_token_id": ENDS,
    "ffn_hidden_size": 512,
    "fp32_residual_connection": False,
    "hidden_dropout": 0.0,
    "hidden_size": 256,
    "kv_channels": 64,
    "layernorm_epsilon": 1.5625e-07,
    "model_type": "chatglm",
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 2,
    "original_rope": True,
    "pad_token_id": ENDS[0],
    "padded_vocab_size": GLM4["vocab_size"],
    "post_layer_norm": True,
    "rmsnorm": True,
    "rope_ratio": 500,
    "seq_length": 131072,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": GLM4["vocab_size"],
}
CHAT_ODD = {
    **CHAT,
    "architectures": ["ChatGLMForConditionalGeneration"],
    "ffn_hidden_size": 160,
    "hidden_size": 288,
    "kv_channels": 72,
}


def ocr(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of GLM-OCR, whose MTP layer is like the others."""
    hidden, vocabulary, last = config["hidden_size"], config["vocab_size"], config["num_hidden_layers"]
    found = dense({**config, "num_hidden_layers": last + config["num_nextn_predict_layers"]})
    prefix = f"model.layers.{last}"
    found |= norms(around_one, hidden, *(f"{prefix}.{name}" for name in ("enorm", "hnorm", "shared_head.norm")))
    found |= linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
    found |= linear(f"{prefix}.embed_tokens", vocabulary, hidden)
    return found | linear(f"{prefix}.shared_head.head", vocabulary, hidden)


def transformers_glm(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of transformers' GLM."""
    hidden, head, ffn = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        heads = attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        output = heads.pop(f"{attn}.o_proj.weight")
        found |= {**biased(heads), f"{attn}.o_proj.weight": output}
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= linear(f"{prefix}.mlp.gate_up_proj", 2 * ffn, hidden) | linear(f"{prefix}.mlp.down_proj", hidden, ffn)
    return found


def chat(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of GLM 4's own layout."""
    hidden, ffn, vocabulary = config["hidden_size"], config["ffn_hidden_size"], config["padded_vocab_size"]
    heads = config["num_attention_heads"] + 2 * config["multi_query_group_num"]
    found = {
        "transformer.embedding.word_embeddings.weight": Tensor((vocabulary, hidden)),
        "transformer.output_layer.weight": Tensor((vocabulary, hidden)),
        "transformer.rotary_pos_emb.inv_freq": Tensor((16,), around_one),
        **norms(around_one, hidden, "transformer.encoder.final_layernorm"),
    }
    for layer in range(config["num_layers"]):
        prefix = f"transformer.encoder.layers.{layer}"
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= biased(linear(f"{prefix}.self_attention.query_key_value", heads * config["kv_channels"], hidden))
        found |= linear(f"{prefix}.self_attention.dense", hidden, hidden)
        found |= linear(f"{prefix}.mlp.dense_h_to_4h", 2 * ffn, hidden)
        found |= linear(f"{prefix}.mlp.dense_4h_to_h", hidden, ffn)
    return found


def solar_tokenizer() -> Vocabulary:
    """Return a tokenizer with the special tokens of Solar Open."""
    names = {"<|im_start|>": "<|startoftext|>", "<|im_end|>": "<|end|>", "<think>": "<unk>"}

    def named(content: bytes) -> bytes:
        text = content.decode()
        for old, new in names.items():
            text = text.replace(json.dumps(old)[1:-1], new)
        return text.encode()

    return Vocabulary({name: named(content) for name, content in qwen(QWEN_3_SPLIT, "").files.items()}, "solar-open")


IMAGES = {"model.visual.blocks.0.attn.qkv.weight": Tensor((32, 32))}
INSIDE = renamed(("model.visual", "model.visual"), ("model.", "model.language_model."))

CASES = (
    Case("GLM-OCR", OCR, ocr(OCR_TEXT) | IMAGES, VOCABULARY, layout=INSIDE, slow=True),
    Case("Solar-Open", SOLAR, sparse(SOLAR), solar_tokenizer(), slow=True),
    Case("GLM-4-2024", CHAT, chat(CHAT), VOCABULARY),
    Case("GLM-4-2024-odd-rows", CHAT_ODD, chat(CHAT_ODD), VOCABULARY, dtype="float16", shards=2, slow=True),
    Case("GLM-4-2024-HF", HF, transformers_glm(HF), VOCABULARY, slow=True),
)
