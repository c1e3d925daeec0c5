"""Hunyuan-OCR and its kin: Hunyuan's dense decoder with rope in four dimensions."""

from __future__ import annotations

from golden.families.case import Case, Tensor
from golden.families.hunyuan import VOCABULARY, config, tensors

_SCALING = {
    "alpha": 1000.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "factor": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "type": "xdrope",
    "xdrope_section": [8, 8, 8, 8],
}
_VISION = {"hidden_size": 32, "max_image_size": 2048, "model_type": "hunyuan_vl", "patch_size": 16}
FLAT = config(
    256,
    512,
    architectures=["HunYuanVLForConditionalGeneration"],
    model_type="hunyuan_vl",
    num_experts=1,
    pad_token_id=-1,
    rope_scaling=_SCALING,
    vision_config=_VISION,
)
NESTED = {
    "architectures": ["HunYuanVLForConditionalGeneration"],
    "image_token_id": 300,
    "model_type": "hunyuan_vl",
    "text_config": {
        **config(288, 160, model_type="hunyuan_vl_text", rope_scaling=None, max_position_embeddings=131072),
        "architectures": None,
        "rope_parameters": {
            "alpha": 1000.0,
            "factor": 1.0,
            "mrope_section": [8, 8, 8, 8],
            "rope_theta": 10000.0,
            "rope_type": "dynamic",
        },
    },
    "tie_word_embeddings": True,
    "vision_config": _VISION,
}
IMAGES = {"vit.layers.0.mlp.dense_h_to_4h.weight": Tensor((32, 32)), "vit.perceive.before_rms.weight": Tensor((32,))}

CASES = (
    Case("Hunyuan-OCR", FLAT, tensors(FLAT) | IMAGES, VOCABULARY),
    Case("Hunyuan-VL", NESTED, tensors(NESTED["text_config"]), VOCABULARY, dtype="float16", slow=True),
)
