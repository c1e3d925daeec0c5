"""Qwen 2-VL, 2.5-VL and 2.5-Omni: Qwen 2's decoder with rope in three dimensions, and towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.qwen2_kin import decoder
from golden.families.shapes import Tensors, ends
from golden.families.vocabularies import real
from golden.families.weights import around_one

ROPE = {"type": "mrope", "mrope_section": [8, 12, 12]}
TEXT = {
    "attention_dropout": 0.0,
    "bos_token_id": 2000,
    "eos_token_id": 2002,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 32768,
    "max_window_layers": 2,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 2048,
}
#: The Hub's files lay the text model's keys beside those of the towers.
VL2 = {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "model_type": "qwen2_vl",
    **TEXT,
    "image_token_id": 2012,
    "rope_scaling": ROPE,
    "video_token_id": 2013,
    "vision_config": {
        "depth": 1,
        "embed_dim": 32,
        "hidden_size": 256,
        "in_chans": 3,
        "mlp_ratio": 4,
        "model_type": "qwen2_vl",
        "num_heads": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    },
    "vision_end_token_id": 2010,
    "vision_start_token_id": 2009,
    "vision_token_id": 2011,
}
VL2_5 = {
    **VL2,
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "hidden_size": 320,
    "model_type": "qwen2_5_vl",
    "num_attention_heads": 5,
    "num_key_value_heads": 1,
    "tie_word_embeddings": False,
    "vision_config": {
        "depth": 1,
        "fullatt_block_indexes": [0],
        "hidden_act": "silu",
        "hidden_size": 32,
        "in_chans": 3,
        "intermediate_size": 64,
        "model_type": "qwen2_5_vl",
        "num_heads": 2,
        "out_hidden_size": 320,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 112,
    },
}
OMNI = {
    "architectures": ["Qwen2_5OmniModel"],
    "enable_audio_output": True,
    "enable_talker": True,
    "model_type": "qwen2_5_omni",
    "thinker_config": {
        "architectures": ["Qwen2OmniNaViTThinkerForConditionalGeneration"],
        "audio_config": {
            "d_model": 32,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "encoder_layers": 1,
            "model_type": "qwen2_5_omni_audio_encoder",
            "num_mel_bins": 128,
            "output_dim": 256,
        },
        "audio_token_index": 2012,
        "ignore_index": -100,
        "image_token_index": 2013,
        "model_type": "qwen2_5_omni_thinker",
        "text_config": {
            **TEXT,
            "model_type": "qwen2_5_omni_text",
            "rope_scaling": {"mrope_section": [8, 12, 12], "rope_type": "default", "type": "default"},
            "tie_word_embeddings": False,
        },
        "vision_config": {
            "depth": 1,
            "embed_dim": 32,
            "fullatt_block_indexes": [0],
            "hidden_size": 32,
            "in_chans": 3,
            "intermediate_size": 64,
            "model_type": "qwen2_5_omni_vision_encoder",
            "num_heads": 2,
            "out_hidden_size": 256,
            "patch_size": 14,
        },
    },
}


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the text model's tensors, and some of the image tower's."""
    hidden = config["hidden_size"]
    tower = {
        "visual.patch_embed.proj.weight": Tensor((32, 3, 2, 14, 14)),
        "visual.blocks.0.attn.qkv.weight": Tensor((96, 32)),
        "visual.blocks.0.norm1.weight": Tensor((32,), around_one),
        "visual.merger.mlp.2.weight": Tensor((hidden, 128)),
    }
    return {**ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"]), **decoder(config), **tower}


def omni_tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the thinker's tensors, and some of the other models'."""
    others = {
        "audio_tower.conv1.weight": Tensor((32, 128, 3)),
        "audio_tower.layers.0.self_attn.q_proj.weight": Tensor((32, 32)),
    }
    thinker = {f"thinker.{name}": tensor for name, tensor in {**tensors(config), **others}.items()}
    return {
        **thinker,
        "talker.thinker_to_talker_proj.weight": Tensor((32, 256)),
        "token2wav.code2wav_dit_model.proj_out.weight": Tensor((32, 32)),
    }


CASES = (
    Case("Qwen2-VL-small", VL2, tensors(VL2), real("qwen3")),
    # The names of transformers from 4.52 on.
    Case(
        "Qwen2-VL-language-model",
        VL2,
        tensors(VL2),
        real("qwen3"),
        layout=renamed(("model.", "model.language_model."), ("visual.", "model.visual.")),
        weights_of="Qwen2-VL-small",
        slow=True,
    ),
    Case("Qwen2.5-VL-untied", VL2_5, tensors(VL2_5), real("qwen3"), dtype="float16", shards=2, slow=True),
    Case("Qwen2.5-Omni-small", OMNI, omni_tensors(OMNI["thinker_config"]["text_config"]), real("qwen3"), slow=True),
)
