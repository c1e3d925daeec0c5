"""Qwen 3-VL, 3-Omni and 3-ASR: Qwen 3's decoders with rope in three dimensions, beside towers for images and audio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from golden.families.case import Arrays, Case, Tensor
from golden.families.layouts import renamed, stacked
from golden.families.qwen2_kin import decoder, dense
from golden.families.qwen3_text import RERANKER
from golden.families.shapes import Tensors, ends, mlp
from golden.families.vocabularies import real
from golden.families.weights import around_one

TEXT = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2000,
    "dtype": "bfloat16",
    "eos_token_id": 2002,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 262144,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
    "rope_theta": 5000000,
    "use_cache": True,
    "vocab_size": 2048,
}
DENSE = {**TEXT, "model_type": "qwen3_vl_text", "tie_word_embeddings": True}
EXPERTS = {
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 384,
    "norm_topk_prob": True,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
MOE = {**TEXT, **EXPERTS, "model_type": "qwen3_vl_moe_text"}


def vision(kind: str, hidden: int) -> dict[str, Any]:
    """Return the section of the image tower."""
    return {
        "deepstack_visual_indexes": [0],  # llama.cpp needs more layers than these
        "depth": 1,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32,
        "in_channels": 3,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "model_type": kind,
        "num_heads": 2,
        "num_position_embeddings": 16,
        "out_hidden_size": hidden,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }


def conditional(architecture: str, kind: str, text: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """Return the config.json of a model with an image tower."""
    return {
        "architectures": [architecture],
        "image_token_id": 2012,
        "model_type": kind,
        "text_config": text,
        "tie_word_embeddings": tied,
        "video_token_id": 2013,
        "vision_config": vision(kind, text["hidden_size"]),
        "vision_end_token_id": 2010,
        "vision_start_token_id": 2009,
    }


AUDIO = {
    "d_model": 32,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "encoder_layers": 1,
    "num_mel_bins": 128,
    "output_dim": 256,
}
OMNI = {
    "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
    "dtype": "bfloat16",
    "enable_audio_output": True,
    "im_end_token_id": 2002,
    "im_start_token_id": 2001,
    "model_type": "qwen3_omni_moe",
    "thinker_config": {
        "audio_config": {**AUDIO, "model_type": "qwen3_omni_moe_audio_encoder"},
        "audio_token_id": 2013,
        "dtype": "bfloat16",
        "image_token_id": 2012,
        "model_type": "qwen3_omni_moe_thinker",
        "text_config": {
            **TEXT,
            **EXPERTS,
            "bos_token_id": None,
            "eos_token_id": None,
            "model_type": "qwen3_omni_moe_text",
            "rope_scaling": {
                "interleaved": True,
                "mrope_interleaved": True,
                "mrope_section": [24, 20, 20],
                "rope_type": "default",
                "type": "default",
            },
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
        "vision_config": vision("qwen3_omni_moe_vision_encoder", 256),
    },
}
ASR_TEXT = {**TEXT, "model_type": "qwen3", "tie_word_embeddings": True}
#: The Hub's first files, which need a package of their own; the reference reads them as they stand.
ASR = {
    "architectures": ["Qwen3ASRForConditionalGeneration"],
    "model_type": "qwen3_asr",
    "support_languages": ["Chinese", "English"],
    "thinker_config": {
        "audio_config": {**AUDIO, "model_type": "qwen3_asr_audio_encoder"},
        "audio_token_id": 2013,
        "dtype": "bfloat16",
        "model_type": "qwen3_asr_thinker",
        "text_config": {**ASR_TEXT, "model_type": "qwen3_asr_text"},
    },
}
#: The files for transformers ("-hf").
ASR_HF = {
    "architectures": ["Qwen3ASRForConditionalGeneration"],
    "audio_config": {**AUDIO, "model_type": "qwen3_asr_encoder"},
    "audio_token_id": 2013,
    "dtype": "bfloat16",
    "eos_token_id": [2000, 2002],
    "model_type": "qwen3_asr",
    "pad_token_id": 2000,
    "text_config": ASR_TEXT,
    "tie_word_embeddings": True,
}


def _experts(prefix: str, config: Mapping[str, Any]) -> Tensors:
    if "num_experts" not in config:
        return dense(prefix, config)
    found = {f"{prefix}.gate.weight": Tensor((config["num_experts"], config["hidden_size"]))}
    for expert in range(config["num_experts"]):
        found |= mlp(f"{prefix}.experts.{expert}", config["hidden_size"], config["moe_intermediate_size"])
    return found


def tensors(text: Mapping[str, Any], tied: bool) -> Tensors:
    """Return the text model's tensors, and some of each tower's."""
    hidden = text["hidden_size"]
    towers = {
        "visual.patch_embed.proj.weight": Tensor((32, 3, 2, 16, 16)),
        "visual.blocks.0.attn.qkv.weight": Tensor((96, 32)),
        "visual.deepstack_merger_list.0.linear_fc1.weight": Tensor((128, 128)),
        "visual.merger.linear_fc2.weight": Tensor((hidden, 128)),
        "audio_tower.layers.0.self_attn.q_proj.weight": Tensor((32, 32)),
    }
    return {**ends(text["vocab_size"], hidden, around_one, tied), **decoder(text, _experts, normed=True), **towers}


INSIDE = renamed(("model.", "model.language_model."), ("visual.", "model.visual."), ("audio_tower.", "model.audio."))
THINKER = renamed(*((name, f"thinker.{name}") for name in ("model.", "lm_head.", "visual.", "audio_tower.")))


def transposed(tensors: Arrays) -> Arrays:
    """Stack the experts as Qwen 3-VL holds them: with the input's size before the output's."""
    return {
        name: np.ascontiguousarray(values.swapaxes(1, 2)) if ".experts." in name else values
        for name, values in INSIDE(stacked(tensors)).items()
    }


VL = conditional("Qwen3VLForConditionalGeneration", "qwen3_vl", DENSE, tied=True)
VL_UNTIED = conditional(
    "Qwen3VLForConditionalGeneration",
    "qwen3_vl",
    {**DENSE, "hidden_size": 320, "tie_word_embeddings": False},
    tied=False,
)
VL_MOE = conditional("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe", MOE, tied=False)
OMNI_TEXT: Mapping[str, Any] = OMNI["thinker_config"]["text_config"]

CASES = (
    Case("Qwen3-VL-small", VL, tensors(DENSE, True), real("qwen3"), layout=INSIDE),
    Case(
        "Qwen3-VL-untied",
        VL_UNTIED,
        tensors(VL_UNTIED["text_config"], False),
        real("qwen3"),
        dtype="float16",
        layout=INSIDE,
        slow=True,
    ),
    Case("Qwen3-VL-Reranker-tied", VL, tensors(DENSE, True), RERANKER, layout=INSIDE, slow=True),
    Case("Qwen3-VL-MoE-transposed", VL_MOE, tensors(MOE, False), real("qwen3"), layout=transposed, shards=2),
    Case(
        "Qwen3-VL-MoE-single",
        VL_MOE,
        tensors(MOE, False),
        real("qwen3"),
        layout=INSIDE,
        slow=True,
    ),
    Case("Qwen3-Omni-small", OMNI, tensors(OMNI_TEXT, False), real("qwen3"), layout=THINKER, slow=True),
    Case("Qwen3-ASR-small", ASR, tensors(ASR_TEXT, True), real("qwen3"), layout=THINKER, slow=True),
    Case("Qwen3-ASR-hf", ASR_HF, tensors(ASR_TEXT, True), real("qwen3"), layout=INSIDE, slow=True),
)
