"""The metadata rows of every text model, in the order in which the reference writes them (conversion/base.py)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rope import SCALINGS, four_sections, main_parameters, sliding_theta
from quantize_cli.architectures.rows import ARRAY, BOOL, F32, STR, U32, Source
from quantize_cli.errors import UnsupportedError, shown
from quantize_cli.gguf_file.fields import ValueType

HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads", "n_kv_heads")
HIDDEN = ("hidden_size", "n_embd", "dim")
FFN = ("prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size", "n_inner", "hidden_dim")
CONTEXT = (
    "max_position_embeddings",
    "n_ctx",
    "n_positions",
    "max_length",
    "max_sequence_length",
    "model_max_length",
)
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
EXPERTS_USED = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts")
SCORE_FUNCTION = (
    "score_function",
    "scoring_func",
    "score_func",
    "moe_router_activation",
    "moe_router_activation_func",
    "expert_selection_fn",
)

#: How routers score experts -> its number in GGUF (constants.py, `ExpertGatingFuncType`).
GATING: Mapping[str, int] = {"softmax": 1, "sigmoid": 2, "sqrtsoftplus": 4}


def scaling(model: Model) -> str | None:
    """Return GGUF's name for the scaling of rope, or None if no key tells of it."""
    rope = main_parameters(model.rope)
    name = SCALINGS.get(rope.text("rope_type") or "")
    return name if name == "longrope" or rope.get("factor") is not None else None


def _scaled(name: str, *kinds: str) -> Source:
    """Return a number of rope's parameters if its scaling is one of `kinds`."""
    return lambda model: main_parameters(model.rope).number(name) if scaling(model) in kinds else None


def _original_context(model: Model) -> int | None:
    if scaling(model) != "yarn":
        return None
    return main_parameters(model.rope).required("original_max_position_embeddings")


def _attention_factor(model: Model) -> float | None:
    rope = main_parameters(model.rope)
    return rope.number("attention_factor", "attn_factor") if scaling(model) == "yarn" else None


def _gating(model: Model) -> int | None:
    function = model.config.text(*SCORE_FUNCTION)
    if function is None:
        return None
    if function not in GATING:
        raise UnsupportedError(
            f"{model.config.where} scores experts by {shown(function)}, but GGUF has only {', '.join(GATING)}; take "
            "another model."
        )
    return GATING[function]


COMMON = (
    U32("{arch}.block_count", value=lambda model: model.blocks),
    U32("{arch}.context_length", *CONTEXT),
    U32("{arch}.embedding_length", *HIDDEN),
    U32("{arch}.feed_forward_length", *FFN),
    U32("{arch}.attention.head_count", *HEADS),
    U32("{arch}.attention.head_count_kv", *KV_HEADS),
    BOOL("{arch}.attention.causal", value=lambda model: False if model.config.get("is_causal") is False else None),
    STR("{arch}.rope.scaling.type", value=scaling),
    F32("{arch}.rope.scaling.factor", value=_scaled("factor", "linear", "yarn")),
    U32("{arch}.rope.scaling.original_context_length", value=_original_context),
    F32("{arch}.rope.scaling.yarn_ext_factor", value=_scaled("extrapolation_factor", "yarn")),
    F32("{arch}.rope.scaling.yarn_attn_factor", value=_attention_factor),
    F32("{arch}.rope.scaling.yarn_beta_fast", value=_scaled("beta_fast", "yarn")),
    F32("{arch}.rope.scaling.yarn_beta_slow", value=_scaled("beta_slow", "yarn")),
    ARRAY(ValueType.INT32, "{arch}.rope.dimension_sections", value=lambda model: four_sections(model.rope)),
    F32("{arch}.rope.freq_base", value=lambda model: main_parameters(model.rope).number("rope_theta")),
    F32("{arch}.rope.freq_base_swa", value=lambda model: sliding_theta(model.rope)),
    F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps"),
    F32("{arch}.attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    U32("{arch}.expert_count", *EXPERTS),
    U32("{arch}.expert_used_count", *EXPERTS_USED),
    U32("{arch}.expert_group_count", "n_group"),
    U32("{arch}.expert_group_used_count", "topk_group"),
    U32("{arch}.expert_gating_func", value=_gating),
    U32("{arch}.attention.key_length", "head_dim"),
    U32("{arch}.attention.value_length", "head_dim"),
)
