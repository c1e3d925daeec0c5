"""EXAONE 4.5: the decoder of EXAONE 4 within a model of images, with an MTP layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.exaone4 import LARGE, VOCABULARY
from golden.families.exaone4 import tensors as decoder
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, linear, mlp, norms
from golden.families.weights import around_one

TEXT = {**{key: value for key, value in LARGE.items() if key != "architectures"}, "num_nextn_predict_layers": 1}
CONFIG = {
    "architectures": ["Exaone4_5_ForConditionalGeneration"],
    "image_token_id": 300,
    "model_type": "exaone4_5",
    "text_config": TEXT,
    "tie_word_embeddings": TEXT["tie_word_embeddings"],
    "vision_config": {"depth": 1, "hidden_size": 32, "model_type": "exaone4_5_vision", "num_heads": 2},
}
SAVED = {**CONFIG, "text_config": {**TEXT, "num_nextn_predict_layers": 0}}


def mtp(config: Mapping[str, Any]) -> Tensors:
    """Return the MTP layer and what joins it to the model."""
    hidden, head, prefix = config["hidden_size"], config["head_dim"], "mtp.layers.0"
    attn = f"{prefix}.self_attn"
    return {
        **linear("mtp.fc", hidden, 2 * hidden),
        **norms(around_one, hidden, "mtp.norm", "mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden"),
        **attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head),
        **norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm"),
        **norms(around_one, hidden, f"{prefix}.post_attention_layernorm", f"{prefix}.post_feedforward_layernorm"),
        **mlp(f"{prefix}.mlp", hidden, config["intermediate_size"]),
    }


IMAGES = {"model.visual.blocks.0.attn.qkv.weight": Tensor((32, 32))}
INSIDE = renamed(("model.visual", "model.visual"), ("model.", "model.language_model."))

CASES = (
    Case("EXAONE-4.5", CONFIG, decoder(TEXT) | mtp(TEXT) | IMAGES, VOCABULARY, layout=INSIDE, slow=True),
    Case("EXAONE-4.5-without-MTP", SAVED, decoder(TEXT), VOCABULARY, dtype="float16", layout=INSIDE, slow=True),
)
