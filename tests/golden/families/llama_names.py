"""The class of Llama under other names: of older files, in models of images and sound, and of embedding models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import llama_sentencepiece, real
from golden.families.weights import around_one

TEXT = {
    "attention_bias": False,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05,
    "use_cache": True,
}
#: Files of Llama 1, before the class got its name.
LLAMA_1 = {
    **{key: value for key, value in TEXT.items() if key not in ("attention_bias", "head_dim", "num_key_value_heads")},
    "architectures": ["LLaMAForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "max_sequence_length": 2048,
    "model_type": "llama",
    "pad_token_id": 0,
    "vocab_size": 320,
}
IQUEST = {
    **TEXT,
    "architectures": ["IQuestCoderForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 131072,
    "model_type": "iquestcoder",
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "vocab_size": 320,
}
PIXTRAL = {
    "architectures": ["LlavaForConditionalGeneration"],
    "ignore_index": -100,
    "image_seq_length": 1,
    "image_token_index": 10,
    "model_type": "llava",
    "projector_hidden_act": "gelu",
    "text_config": {
        **{key: value for key, value in TEXT.items() if key != "attention_bias"},
        "is_composition": True,
        "max_position_embeddings": 1024000,
        "model_type": "mistral",
        "rope_theta": 1000000000.0,
        "sliding_window": None,
        "vocab_size": 320,
    },
    "vision_config": {"head_dim": 16, "hidden_size": 32, "model_type": "pixtral", "num_hidden_layers": 1},
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
}
VOXTRAL = {
    "architectures": ["VoxtralForConditionalGeneration"],
    "audio_config": {"hidden_size": 32, "model_type": "voxtral_encoder", "num_hidden_layers": 1},
    "audio_token_id": 24,
    "hidden_size": 256,
    "model_type": "voxtral",
    "projector_hidden_act": "gelu",
    "text_config": {
        **TEXT,
        "max_position_embeddings": 131072,
        "mlp_bias": False,
        "model_type": "llama",
        "pretraining_tp": 1,
        "rope_scaling": None,
        "rope_theta": 100000000.0,
        "sliding_window": None,
        "vocab_size": 320,
    },
    "vocab_size": 320,
}
#: SmolVLM: the text part's class, and no number of heads where it is the usual one.
SMOLVLM = {
    "architectures": ["SmolVLMForConditionalGeneration"],
    "image_token_id": 1990,
    "model_type": "smolvlm",
    "scale_factor": 4,
    "text_config": {
        **{key: value for key, value in TEXT.items() if key != "num_attention_heads"},
        "architectures": ["VLlama3ForCausalLM"],
        "head_dim": 16,
        "hidden_size": 512,
        "is_llama_config": True,
        "max_position_embeddings": 8192,
        "model_type": "llama",
        "num_key_value_heads": 32,
        "pad_token_id": 2,
        "rope_interleaved": False,
        "rope_theta": 100000,
        "vocab_size": 2000,
    },
    "tie_word_embeddings": False,
    "use_cache": False,
    "vision_config": {"hidden_size": 32, "model_type": "smolvlm_vision"},
    "vocab_size": 2000,
}
#: llama-embed-nemotron: tokens attend to those behind them too.
EMBED = {
    **TEXT,
    "architectures": ["LlamaBidirectionalModel"],
    "bos_token_id": 2000,
    "eos_token_id": [2001, 2008],
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama_bidirec",
    "pooling": "avg",
    "pretraining_tp": 1,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "vocab_size": 2009,
}


def tensors(config: Mapping[str, Any], tied: bool = False) -> Tensors:
    """Return the tensors of the Hub's layout."""
    hidden, heads = config["hidden_size"], config.get("num_attention_heads", 32)
    kv_heads, head = config.get("num_key_value_heads", heads), config.get("head_dim", hidden // heads)
    found = ends(config["vocab_size"], hidden, around_one, tied)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= attention(f"{prefix}.self_attn", hidden, heads, kv_heads, head)
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


BUFFERS = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": Tensor((32,), around_one) for layer in range(2)}
IMAGES = {
    "multi_modal_projector.linear_1.weight": Tensor((32, 32)),
    "vision_tower.transformer.layers.0.attention.q_proj.weight": Tensor((32, 32)),
}
SOUND = {
    "audio_tower.layers.0.self_attn.q_proj.weight": Tensor((32, 32)),
    "multi_modal_projector.linear_1.weight": Tensor((32, 32)),
}
CONNECTED = {
    "model.connector.modality_projection.proj.weight": Tensor((32, 32)),
    "model.vision_model.embeddings.patch_embedding.weight": Tensor((32, 3, 4, 4)),
}
INSIDE = renamed(
    ("model.connector", "model.connector"), ("model.vision", "model.vision"), ("model.", "model.text_model.")
)
LANGUAGE_MODEL = renamed(("model.", "language_model.model."), ("lm_head.", "language_model.lm_head."))
WORDS = llama_sentencepiece()

CASES = (
    Case("Llama-1-old", LLAMA_1, tensors(LLAMA_1) | BUFFERS, WORDS, dtype="float16", slow=True),
    Case("IQuest-Coder", IQUEST, tensors(IQUEST), WORDS, slow=True),
    Case("Pixtral", PIXTRAL, tensors(PIXTRAL["text_config"]) | IMAGES, WORDS, layout=LANGUAGE_MODEL, slow=True),
    Case("Voxtral", VOXTRAL, tensors(VOXTRAL["text_config"]) | SOUND, WORDS, layout=LANGUAGE_MODEL, slow=True),
    Case("SmolVLM", SMOLVLM, tensors(SMOLVLM["text_config"]) | CONNECTED, real("smollm2"), layout=INSIDE, slow=True),
    Case(
        "Llama-embed-Nemotron",
        EMBED,
        tensors(EMBED, tied=True),
        real("llama3_1"),
        layout=renamed(("model.", "")),
    ),
)
