"""The classes of Qwen3.5 under other names: with experts and without images, and within MiniCPM-V 4.6."""

from __future__ import annotations

from golden.families.case import Case, Tensor
from golden.families.layouts import renamed
from golden.families.qwen3_5 import DENSE, MOE, VOCABULARY, conditional, tensors

EXPERTS = {**MOE, "architectures": ["Qwen3_5MoeForCausalLM"]}
MINICPM_V = {
    **conditional("MiniCPMV4_6ForConditionalGeneration", "minicpmv4_6", DENSE),
    "downsample_mode": "16x",
    "insert_layer_id": 6,
    "vision_config": {"hidden_size": 32, "model_type": "minicpmv4_6_vision", "num_hidden_layers": 1},
}
IMAGES = {
    "model.merger.mlp.0.linear_1.weight": Tensor((32, 32)),
    "model.vision_tower.encoder.layers.0.mlp.fc1.weight": Tensor((32, 32)),
}
INSIDE = renamed(
    ("model.merger", "model.merger"), ("model.vision", "model.vision"), ("model.", "model.language_model.")
)

CASES = (
    Case("Qwen3.5-MoE-text", EXPERTS, tensors(EXPERTS), VOCABULARY, slow=True),
    Case("MiniCPM-V-4.6", MINICPM_V, tensors(DENSE) | IMAGES, VOCABULARY, layout=INSIDE, slow=True),
)
