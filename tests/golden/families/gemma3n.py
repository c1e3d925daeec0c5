"""Gemma 3n: four streams of states, embeddings for each layer, an embedding that is filled up with zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.gemma3 import NEW
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import gemma_json, gemma_real, gemma_sentencepiece
from golden.families.weights import around_one

#: `text_config` with the keys of Gemma 3n E2B's on the Hub.
TEXT = {
    "activation_sparsity_pattern": [0.95, 0.0],
    "altup_active_idx": 0,
    "altup_coef_clip": 120.0,
    "altup_correct_scale": True,
    "altup_lr_multiplier": 1.0,
    "altup_num_inputs": 4,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "final_logit_softcapping": 30.0,
    "head_dim": 64,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 256,
    "hidden_size_per_layer_input": 256,
    "initializer_range": 0.02,
    "intermediate_size": [512, 512],
    "laurel_rank": 64,
    "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 2048,
    "model_type": "gemma3n_text",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_kv_shared_layers": 1,
    "query_pre_attn_scalar": 64,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 1992,
    "vocab_size_per_layer_input": 1976,
}

CONDITIONAL = {
    "architectures": ["Gemma3nForConditionalGeneration"],
    "audio_config": {"hidden_size": 64, "model_type": "gemma3n_audio", "vocab_offset": 1988, "vocab_size": 4},
    "audio_soft_tokens_per_image": 188,
    "audio_token_id": 1991,
    "boa_token_id": 6,
    "boi_token_id": 5,
    "eoa_token_id": 6,
    "eoi_token_id": 5,
    "eos_token_id": [1, 11],
    "image_token_id": 1986,
    "initializer_range": 0.02,
    "model_type": "gemma3n",
    "text_config": TEXT,
    "vision_config": {
        "architecture": "mobilenetv5_300m_enc",
        "hidden_size": 64,
        "model_type": "gemma3n_vision",
        "vocab_offset": 1984,
        "vocab_size": 4,
    },
    "vision_soft_tokens_per_image": 256,
}


def tensors(config: Mapping[str, Any], rows: int, layer_rows: int) -> Tensors:
    """Return the text model's tensors, with embeddings of so many rows."""
    hidden, head, width = config["hidden_size"], config["head_dim"], config["hidden_size_per_layer_input"]
    layers, rank, streams = config["num_hidden_layers"], config["laurel_rank"], config["altup_num_inputs"]
    found = ends(rows, hidden, around_one, tied=True)
    found["model.embed_tokens_per_layer.weight"] = Tensor((layer_rows, layers * width))
    found["model.per_layer_model_projection.weight"] = Tensor((layers * width, hidden))
    found |= norms(around_one, width, "model.per_layer_projection_norm")
    for kind in ("altup_projections", "altup_unembed_projections"):
        found |= {f"model.{kind}.{number}.weight": Tensor((hidden, hidden)) for number in range(streams - 1)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        attn, altup, laurel = f"{prefix}.self_attn", f"{prefix}.altup", f"{prefix}.laurel"
        found |= attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        found |= norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        around = ("input", "post_attention", "pre_feedforward", "post_feedforward")
        found |= norms(around_one, hidden, *(f"{prefix}.{where}_layernorm" for where in around))
        found |= norms(around_one, hidden, f"{altup}.router_norm", f"{laurel}.post_laurel_norm")
        found |= norms(around_one, hidden, f"{prefix}.post_per_layer_input_norm")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"][layer])
        found |= {
            f"{altup}.correct_output_scale": Tensor((hidden,), around_one),
            f"{altup}.correction_coefs.weight": Tensor((streams, streams)),
            f"{altup}.modality_router.weight": Tensor((streams, hidden)),
            f"{altup}.prediction_coefs.weight": Tensor((streams**2, streams)),
            f"{laurel}.linear_left.weight": Tensor((rank, hidden)),
            f"{laurel}.linear_right.weight": Tensor((hidden, rank)),
            f"{prefix}.per_layer_input_gate.weight": Tensor((width, hidden)),
            f"{prefix}.per_layer_projection.weight": Tensor((hidden, width)),
        }
    return found


def other_parts(hidden: int) -> Tensors:
    """Return some of each kind of the tensors of images and sound, which a text model's file leaves out."""
    return {
        "model.audio_tower.conformer.0.norm.weight": Tensor((64,), around_one),
        "model.audio_tower.subsample_conv_projection.input_proj_linear.weight": Tensor((64, 64)),
        "model.embed_audio.embedding.weight": Tensor((4, 64)),
        "model.embed_audio.embedding_projection.weight": Tensor((hidden, 64)),
        "model.embed_vision.embedding.weight": Tensor((4, 64)),
        "model.embed_vision.soft_embedding_norm.weight": Tensor((64,), around_one),
        "model.vision_tower.timm_model.blocks.0.0.conv_exp.weight": Tensor((64, 16, 3, 3)),
    }


FEW = {"vocab_size": 328, "vocab_size_per_layer_input": 320}
FULL = {**TEXT, "architectures": ["Gemma3nForCausalLM"], "tie_word_embeddings": True, **FEW}
THREE = {
    **FULL,
    "activation_sparsity_pattern": [0.95, 0.5, 0.0],
    "hidden_size": 320,
    "intermediate_size": [352, 352, 352],
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "num_hidden_layers": 3,
    "vocab_size": 340,
}

CASES = (
    # As on the Hub: the embeddings of layers lack the tokens of images and sound.
    Case("Gemma3n-small", CONDITIONAL, tensors(TEXT, 1992, 1976) | other_parts(256), gemma_real(), layout=NEW),
    Case("Gemma3n-text", FULL, tensors(FULL, 328, 328), gemma_sentencepiece(), slow=True),
    # Both embeddings are too short.
    Case("Gemma3n-odd-rows", THREE, tensors(THREE, 330, 320), gemma_json(), dtype="float16", slow=True),
)
