"""What a class of transformers refuses. The converter reads config.json as it stands then."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.config_classes.model_type import ClassRefuses, Filling, ModelType
from quantize_cli.architectures.reference_data import Json

#: Keys that no class takes a null for.
NEVER_NULL = frozenset(
    {
        "attention_bias",
        "hidden_act",
        "hidden_activation",
        "hidden_size",
        "intermediate_size",
        "kv_lora_rank",
        "max_position_embeddings",
        "moe_intermediate_size",
        "n_embd",
        "n_head",
        "n_layer",
        "n_routed_experts",
        "n_shared_experts",
        "num_attention_heads",
        "num_hidden_layers",
        "qk_nope_head_dim",
        "qk_rope_head_dim",
        "rms_norm_eps",
        "tie_word_embeddings",
        "vocab_size",
    }
)

#: Keys with a fraction as default that take whole numbers, too.
WHOLE_TOO = frozenset(
    {
        "attention_multiplier",
        "block_ffn_dim_multiplier",
        "compress_rope_theta",
        "embedding_multiplier",
        "logits_scaling",
        "mlp_ratio",
        "residual_multiplier",
        "rope_theta",
        "scale_depth",
        "scale_emb",
    }
)

#: Keys with a number as default that take something else, too: a list, a name.
ANY_TYPE = frozenset(
    {
        "eos_token_id",
        "gating",
        "image_size",
        "intermediate_size",
        "mamba_d_head",
        "moe_topk",
        "patch_size",
        "sliding_window_pattern",
        "temporal_patch_size",
        "time_step_rank",
        "vision_feature_layer",
    }
)

#: Older names of layer kinds, which every class replaces.
LAYER_KIND_OF = {
    "attention": "full_attention",
    "deepseek_sparse_attention": "indexed_attention",
    "mamba": "linear_attention",
    "qwen_sparse_attention": "indexed_attention",
}

#: Lists of layer kinds, and the kinds that they may name.
LAYER_KINDS = {
    "layer_types": frozenset(
        {
            "chunked_attention",
            "compressed_sparse_attention",
            "conv",
            "full_attention",
            "heavily_compressed_attention",
            "hybrid",
            "hybrid_sliding",
            "indexed_attention",
            "linear_attention",
            "minimax_m3_sparse",
            "moe",
            "reference_sliding_attention",
            "sliding_attention",
            "window_attention",
        }
    ),
    "mlp_layer_types": frozenset({"dense", "sparse"}),
}

#: Classes that check their layers in another way.
OWN_LAYER_CHECK = frozenset({"deepseek_v4", "nemotron_h"})

#: Classes that refuse a hidden size which the attention heads cannot share.
EVEN_HEADS = frozenset(
    {
        "arcee",
        "deepseek_v2",
        "eurobert",
        "gemma2",
        "gemma3_text",
        "gemma3n_text",
        "gpt_neox",
        "hrm_text",
        "internlm3",
        "iquestcoder",
        "jais2",
        "llama",
        "minicpm3",
        "muse_glimmer_text",
        "pocket_tts",
    }
)


def check_types(given: Mapping[str, Json], kind: ModelType) -> None:
    """Raise ClassRefuses where a value has another type than the class wants, which the default of the key shows."""
    for key in given.keys() & kind.defaults.keys():
        if not _accepted(key, given[key], kind.defaults[key]):
            raise ClassRefuses(f"{key} has the wrong type")


def _accepted(key: str, value: Json, default: Json) -> bool:
    if value is None:
        return default is None or key not in NEVER_NULL
    if default is None or isinstance(default, (list, dict)) or key in ANY_TYPE:
        return True
    return type(value) is type(default) or (type(default) is float and type(value) is int and key in WHOLE_TOO)


def check_values(filling: Filling) -> None:
    """Raise ClassRefuses where filled-in values contradict each other; give layer kinds their present names."""
    kind, values = filling.kind, filling.values
    if kind.name in EVEN_HEADS and filling.whole("hidden_size") % filling.positive("num_attention_heads"):
        raise ClassRefuses("the heads cannot share the hidden size")
    for key, allowed in LAYER_KINDS.items():
        own = kind.own_key(key)
        if values.get(own) is None or kind.own_key("num_hidden_layers") not in values:
            return  # the check of transformers stops here, too
        names = filling.items(own)
        if not all(isinstance(name, str) for name in names):
            raise ClassRefuses(f"{own} is not a list of names")
        if key == "layer_types":
            names = values[own] = [LAYER_KIND_OF.get(name, name) for name in names]
        fits = allowed.issuperset(names) and len(names) == filling.layers()
        if not fits and kind.name not in OWN_LAYER_CHECK:
            raise ClassRefuses(f"{own} does not fit the model")
