"""PaddleOCR-VL: the decoder of ERNIE 4.5 with rope in three dimensions."""

from __future__ import annotations

from golden.families.case import Case, Tensor
from golden.families.ernie4_5 import SMALL, tensors
from golden.families.vocabularies import llama_sentencepiece

CONFIG = {
    **SMALL,
    "architectures": ["PaddleOCRVLForConditionalGeneration"],
    "compression_ratio": 1.0,
    "head_dim": 64,
    "hidden_dropout_prob": 0.0,
    "image_token_id": 300,
    "model_type": "paddleocr_vl",
    "rope_is_neox_style": True,
    "rope_scaling": {"mrope_section": [8, 12, 12], "rope_type": "default", "type": "default"},
    "tie_word_embeddings": False,
    "use_3d_rope": True,
    "use_flash_attention": False,
    "vocab_size": 320,
    "vision_config": {"hidden_size": 32, "model_type": "paddleocr_vl", "num_hidden_layers": 1},
    "weight_share_add_bias": True,
}
ODD = {**CONFIG, "head_dim": 72, "hidden_size": 288, "intermediate_size": 160, "tie_word_embeddings": True}
ODD["rope_scaling"] = {"mrope_section": [12, 12, 12], "rope_type": "default", "type": "default"}
IMAGES = {
    "mlp_AR.linear_1.weight": Tensor((32, 32)),
    "visual.vision_model.encoder.layers.0.mlp.fc1.weight": Tensor((32, 32)),
}

CASES = (
    Case("PaddleOCR-VL", CONFIG, tensors(CONFIG) | IMAGES, llama_sentencepiece()),
    Case("PaddleOCR-VL-odd-rows", ODD, tensors(ODD), llama_sentencepiece(), dtype="float16", slow=True),
)
