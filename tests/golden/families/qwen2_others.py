"""Models on Qwen 2's decoder: Qwen2-Audio, Audio Flamingo 3, dots.ocr and KORMo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.qwen2_kin import decoder
from golden.families.qwen2_vl import TEXT
from golden.families.shapes import Tensors, ends
from golden.families.vocabularies import real
from golden.families.weights import around_one

UNTIED = {**TEXT, "tie_word_embeddings": False}
AUDIO = {
    "architectures": ["Qwen2AudioForConditionalGeneration"],
    "audio_config": {
        "d_model": 32,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "encoder_layers": 1,
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": 128,
    },
    "audio_token_index": 2012,
    "ignore_index": -100,
    "model_type": "qwen2_audio",
    "text_config": {**UNTIED, "model_type": "qwen2"},
    "vocab_size": 2048,
}
FLAMINGO = {
    "architectures": ["AudioFlamingo3ForConditionalGeneration"],
    "audio_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "model_type": "audioflamingo3_encoder",
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "num_mel_bins": 128,
    },
    "audio_token_id": 2012,
    "model_type": "audioflamingo3",
    "projector_hidden_act": "gelu",
    "text_config": {**UNTIED, "model_type": "qwen2"},
}
DOTS = {
    **UNTIED,
    "architectures": ["DotsOCRForCausalLM"],
    "attention_bias": True,
    "auto_map": {"AutoConfig": "configuration_dots.DotsOCRConfig"},
    "image_token_id": 2012,
    "model_type": "dots_ocr",
    "rope_scaling": None,
    "video_token_id": 2013,
    "vision_config": {"embed_dim": 32, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2},
}
KORMO = {
    **UNTIED,
    "architectures": ["KORMoForCausalLM"],
    "attention_bias": False,
    "auto_map": {"AutoConfig": "_configuration_kormo.KORMoConfig"},
    "head_dim": 64,
    "mlp_bias": False,
    "model_type": "kormo",
    "pretraining_tp": 1,
    "rope_scaling": None,
}


def tensors(config: dict[str, Any], **others: tuple[int, ...]) -> Tensors:
    """Return the text model's tensors, and others of these shapes, whose names have __ for a dot."""
    found = ends(config["vocab_size"], config["hidden_size"], around_one)
    more = {name.replace("__", "."): Tensor(shape) for name, shape in others.items()}
    return {**found, **decoder(config), **more}


LANGUAGE_MODEL = renamed(("model.", "language_model.model."), ("lm_head.", "language_model.lm_head."))
TOWER = {"audio_tower__conv1__weight": (32, 128, 3), "multi_modal_projector__linear__weight": (256, 32)}

QWEN2 = {**TEXT, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}

CASES = (
    Case("Qwen2-small", QWEN2, {**ends(2048, 256, around_one, tied=True), **decoder(QWEN2)}, real("qwen3"), slow=True),
    Case("Qwen2-Audio-small", AUDIO, tensors(UNTIED, **TOWER), real("qwen3"), layout=LANGUAGE_MODEL, slow=True),
    Case("Audio-Flamingo-3-small", FLAMINGO, tensors(UNTIED, **TOWER), real("qwen3"), layout=LANGUAGE_MODEL, slow=True),
    Case(
        "dots.ocr-small",
        DOTS,
        tensors(UNTIED, vision_tower__blocks__0__attn__qkv__weight=(96, 32)),
        real("qwen3"),
        slow=True,
    ),
    Case(
        "KORMo-small",
        KORMO,
        {
            **ends(2048, 256, around_one),
            **decoder(KORMO, biased=False, layer_norms=("pre_attention_layernorm", "pre_mlp_layernorm")),
        },
        replace(real("qwen3"), pre_tokenizer="kormo"),
        slow=True,
    ),
)
