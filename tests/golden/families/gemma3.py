"""Gemma 3: four norms a layer, stored less one; an embedding whose rows are cut; the text part of a larger model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor, Vocabulary
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import gemma_both, gemma_json, gemma_real, gemma_sentencepiece
from golden.families.weights import around_one, around_zero

#: What Gemma3TextConfig assumes where a config.json does not say it, as the Hub's of the conditional class do not.
ASSUMED = {"head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4}


def config(layers: int, hidden: int, ffn: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    """Return a config.json with the keys of Gemma 3 1B's on the Hub."""
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": 2,
        "cache_implementation": "hybrid",
        "eos_token_id": [1, 7],
        "final_logit_softcapping": None,
        "head_dim": 64,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": 2048,
        "model_type": "gemma3_text",
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "query_pre_attn_scalar": 64,
        "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": 64,
        "sliding_window_pattern": 6,
        "use_cache": True,
        "vocab_size": vocabulary,
        **more,
    }


def conditional(text: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json with the keys of Gemma 3 4B's on the Hub."""
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "boi_token_index": 6,
        "eoi_token_index": 7,
        "eos_token_id": [1, 7],
        "image_token_index": 319,
        "initializer_range": 0.02,
        "mm_tokens_per_image": 16,
        "model_type": "gemma3",
        "text_config": {"model_type": "gemma3_text", **text},
        "vision_config": {
            "hidden_size": 32,
            "image_size": 56,
            "intermediate_size": 64,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "patch_size": 14,
            "vision_use_head": False,
        },
    }


def tensors(config: Mapping[str, Any], rows: int, tied: bool = True) -> Tensors:
    """Return the text model's tensors as Gemma3ForCausalLM names them, with an embedding of `rows` rows."""
    config = {**ASSUMED, **config}
    hidden, head = config["hidden_size"], config["head_dim"]
    found = ends(rows, hidden, around_zero, tied)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        around = ("input", "post_attention", "pre_feedforward", "post_feedforward")
        found |= attention(attn, hidden, config["num_attention_heads"], config["num_key_value_heads"], head)
        found |= norms(around_zero, head, f"{attn}.q_norm", f"{attn}.k_norm")
        found |= norms(around_zero, hidden, *(f"{prefix}.{where}_layernorm" for where in around))
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


def vision(hidden: int) -> Tensors:
    """Return some of each kind of the vision tower's tensors, which a text model's file leaves out."""
    tower, layer = "vision_tower.vision_model", "vision_tower.vision_model.encoder.layers.0"
    return {
        f"{tower}.embeddings.patch_embedding.weight": Tensor((32, 3, 14, 14)),
        f"{tower}.embeddings.patch_embedding.bias": Tensor((32,)),
        f"{tower}.embeddings.position_embedding.weight": Tensor((16, 32)),
        f"{layer}.self_attn.q_proj.weight": Tensor((32, 32)),
        f"{layer}.self_attn.q_proj.bias": Tensor((32,)),
        f"{layer}.layer_norm1.weight": Tensor((32,), around_one),
        f"{layer}.mlp.fc1.weight": Tensor((64, 32)),
        f"{tower}.post_layernorm.weight": Tensor((32,), around_one),
        "multi_modal_projector.mm_input_projection_weight": Tensor((32, hidden)),
        "multi_modal_projector.mm_soft_emb_norm.weight": Tensor((32,), around_zero),
    }


#: The conditional class before transformers 4.52, and as the Hub has it.
OLD = renamed(("model.", "language_model.model."), ("lm_head.", "language_model.lm_head."))
NEW = renamed(
    ("model.", "model.language_model."),
    ("vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)

REAL_TOKENS = config(layers=6, hidden=256, ffn=256, vocabulary=1992, eos_token_id=[1, 11])
SIX_LAYERS = config(layers=6, hidden=256, ffn=256, vocabulary=328)
SHORT_TEXT = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "sliding_window": 1024,
    "vocab_size": 324,
}
LONG_TEXT = {key: value for key, value in SIX_LAYERS.items() if key not in ("architectures", "model_type")}
LONG_TEXT |= {"num_hidden_layers": 2}
ODD = config(layers=2, hidden=320, ffn=352, vocabulary=300, final_logit_softcapping=30.0, head_dim=32)
REAL = config(layers=1, hidden=32, ffn=32, vocabulary=262208, head_dim=32)

CASES = (
    # The embedding has 8 rows more than config.json says, config.json 10 more than the tokenizer.
    Case("Gemma3-sentencepiece", REAL_TOKENS, tensors(REAL_TOKENS, 2000), gemma_real()),
    # Without tokenizer.model the rows are cut to 319 + 9: added tokens that are in the vocabulary count twice.
    Case("Gemma3-json", SIX_LAYERS, tensors(SIX_LAYERS, 336), gemma_json(), dtype="float16"),
    # config.json leaves sizes to the class's defaults.
    Case(
        "Gemma3-4b-it-old-names",
        conditional(SHORT_TEXT),
        tensors(SHORT_TEXT, 324) | vision(256),
        gemma_both(),
        layout=OLD,
    ),
    # A head is stored beside the embedding.
    Case(
        "Gemma3-it-new-names",
        conditional(LONG_TEXT),
        tensors(LONG_TEXT, 328, tied=False) | vision(256),
        gemma_json(),
        dtype="float16",
        layout=NEW,
    ),
    # config.json knows fewer tokens than the tokenizer has.
    Case("Gemma3-odd-rows", ODD, tensors(ODD, 320), gemma_sentencepiece(), dtype="float16"),
    Case("Gemma3-real-tokenizer", REAL, tensors(REAL, 262208), Vocabulary(shared="gemma3"), slow=True),
)
