"""Qwen3.5: layers of linear attention among those of gated full attention, dense or with experts, and MTP layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Arrays, Case, Tensor
from golden.families.layouts import renamed, stacked
from golden.families.relatives import relative
from golden.families.shapes import Tensors, attention, ends, mlp, norms
from golden.families.vocabularies import tokens
from golden.families.weights import around_one, around_zero, decay_logarithm

VOCABULARY = relative("qwen35")
IDS = tokens(VOCABULARY)
END = IDS["<|endoftext|>"]

TEXT = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_output_gate": True,
    "bos_token_id": None,
    "eos_token_id": END,
    "full_attention_interval": 4,
    "head_dim": 256,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 64,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_value_head_dim": 64,
    "mamba_ssm_dtype": "float32",
    "max_position_embeddings": 262144,
    "mtp_num_hidden_layers": 1,
    "mtp_use_dedicated_embeddings": False,
    "num_attention_heads": 2,
    "num_hidden_layers": 4,
    "num_key_value_heads": 1,
    "pad_token_id": None,
    "partial_rotary_factor": 0.25,
    "rms_norm_eps": 1e-06,
    "rope_parameters": {
        "mrope_interleaved": True,
        "mrope_section": [11, 11, 10],
        "partial_rotary_factor": 0.25,
        "rope_theta": 10000000,
        "rope_type": "default",
    },
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 2048,
}
LISTED = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]
DENSE = {**TEXT, "model_type": "qwen3_5_text", "intermediate_size": 256, "layer_types": LISTED}
MOE = {
    **TEXT,
    "model_type": "qwen3_5_moe_text",
    "full_attention_interval": 2,
    "layer_types": ["linear_attention", "full_attention"],
    "num_hidden_layers": 2,
    "linear_num_value_heads": 4,
    "mlp_only_layers": [],
    "moe_intermediate_size": 256,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "output_router_logits": False,
    "router_aux_loss_coef": 0.001,
    "shared_expert_intermediate_size": 256,
}


def conditional(architecture: str, model_type: str, text: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json of the class with a vision tower."""
    return {
        "architectures": [architecture],
        "image_token_id": IDS["<|image_pad|>"],
        "model_type": model_type,
        "text_config": text,
        "tie_word_embeddings": text["tie_word_embeddings"],
        "video_token_id": IDS["<|video_pad|>"],
        "vision_config": {
            "depth": 1,
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 64,
            "model_type": f"{model_type}_vision",
            "num_heads": 2,
            "num_position_embeddings": 16,
            "out_hidden_size": text["hidden_size"],
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        "vision_end_token_id": IDS["<|vision_end|>"],
        "vision_start_token_id": IDS["<|vision_start|>"],
    }


def linear_attention(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return a gated delta net; A_log and the norm are float32 in checkpoints of bfloat16."""
    hidden, value_heads = config["hidden_size"], config["linear_num_value_heads"]
    value_head = config["linear_value_head_dim"]
    keys, values = config["linear_num_key_heads"] * config["linear_key_head_dim"], value_heads * value_head
    precise = config["mamba_ssm_dtype"]
    return {
        f"{prefix}.in_proj_qkv.weight": Tensor((2 * keys + values, hidden)),
        f"{prefix}.in_proj_z.weight": Tensor((values, hidden)),
        f"{prefix}.in_proj_b.weight": Tensor((value_heads, hidden)),
        f"{prefix}.in_proj_a.weight": Tensor((value_heads, hidden)),
        f"{prefix}.conv1d.weight": Tensor((2 * keys + values, 1, config["linear_conv_kernel_dim"])),
        f"{prefix}.A_log": Tensor((value_heads,), decay_logarithm, precise),
        f"{prefix}.dt_bias": Tensor((value_heads,), around_one),
        f"{prefix}.norm.weight": Tensor((value_head,), around_one, precise),
        f"{prefix}.out_proj.weight": Tensor((hidden, values)),
    }


def full_attention(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return attention whose q_proj holds a gate beside each head's query."""
    hidden, head, heads = config["hidden_size"], config["head_dim"], config["num_attention_heads"]
    found = attention(prefix, hidden, heads, config["num_key_value_heads"], head)
    found[f"{prefix}.q_proj.weight"] = Tensor((2 * heads * head, hidden))
    return found | norms(around_zero, head, f"{prefix}.q_norm", f"{prefix}.k_norm")


def feed_forward(prefix: str, config: Mapping[str, Any]) -> Tensors:
    """Return the dense network, or the router with its experts and the gated shared expert."""
    hidden = config["hidden_size"]
    if "num_experts" not in config:
        return mlp(prefix, hidden, config["intermediate_size"])
    found = {f"{prefix}.gate.weight": Tensor((config["num_experts"], hidden))}
    for expert in range(config["num_experts"]):
        found |= mlp(f"{prefix}.experts.{expert}", hidden, config["moe_intermediate_size"])
    found |= mlp(f"{prefix}.shared_expert", hidden, config["shared_expert_intermediate_size"])
    return {**found, f"{prefix}.shared_expert_gate.weight": Tensor((1, hidden))}


def layer(prefix: str, config: Mapping[str, Any], kind: str) -> Tensors:
    """Return one layer of a kind that config.json's `layer_types` names."""
    mixers = {
        "linear_attention": linear_attention(f"{prefix}.linear_attn", config),
        "full_attention": full_attention(f"{prefix}.self_attn", config),
    }
    return {
        **mixers[kind],
        **norms(around_zero, config["hidden_size"], f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm"),
        **feed_forward(f"{prefix}.mlp", config),
    }


def mtp(config: Mapping[str, Any]) -> Tensors:
    """Return the MTP layer and what joins it to the model."""
    hidden = config["hidden_size"]
    return {
        "mtp.fc.weight": Tensor((hidden, 2 * hidden)),
        **norms(around_zero, hidden, "mtp.norm", "mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden"),
        **layer("mtp.layers.0", config, "full_attention"),
    }


def tensors(config: Mapping[str, Any]) -> Tensors:
    """Return the text model's tensors as Qwen3_5ForCausalLM names them, experts single."""
    interval, layers = config["full_attention_interval"], config["num_hidden_layers"]
    found = ends(config["vocab_size"], config["hidden_size"], around_zero, config["tie_word_embeddings"])
    cycle = ["linear_attention"] * (interval - 1) + ["full_attention"]
    for number in range(layers):
        kind = config["layer_types"][number] if "layer_types" in config else cycle[number % interval]
        found |= layer(f"model.layers.{number}", config, kind)
    return found


def vision(hidden: int) -> Tensors:
    """Return some of each kind of the vision tower's tensors, which a text model's file leaves out."""
    tower = "model.visual"
    return {
        f"{tower}.patch_embed.proj.weight": Tensor((32, 3, 2, 16, 16)),
        f"{tower}.pos_embed.weight": Tensor((16, 32)),
        f"{tower}.blocks.0.attn.qkv.weight": Tensor((96, 32)),
        f"{tower}.blocks.0.norm1.weight": Tensor((32,), around_one),
        f"{tower}.merger.linear_fc2.weight": Tensor((hidden, 128)),
    }


#: The names in the class with a vision tower: only those of the text model change.
INSIDE = renamed(("model.visual.", "model.visual."), ("model.", "model.language_model."))


def inside_and_stacked(tensors: Arrays) -> Arrays:
    """Name the tensors as the Hub's mixtures of experts do."""
    return INSIDE(stacked(tensors))


#: Six value heads on two key heads: regrouping them is not its own inverse.
GROUPED = {**DENSE, "linear_num_value_heads": 6, "mamba_ssm_dtype": None, "tie_word_embeddings": True}
ODD = {
    **DENSE,
    "full_attention_interval": 2,
    "head_dim": 32,
    "hidden_size": 320,
    "intermediate_size": 352,
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
    "linear_key_head_dim": 32,
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 3,
    "linear_value_head_dim": 32,
    "mamba_ssm_dtype": None,
}
ODD["rope_parameters"] = {"partial_rotary_factor": 0.25, "rope_theta": 10000000, "rope_type": "default"}
del ODD["mtp_num_hidden_layers"]
NO_MTP = {key: value for key, value in DENSE.items() if key not in ("layer_types", "mtp_num_hidden_layers")}

CASES = (
    Case(
        "Qwen3.5-equal-heads",
        {"architectures": ["Qwen3_5ForCausalLM"], **DENSE},
        tensors(DENSE) | mtp(DENSE),
        VOCABULARY,
        shards=2,
    ),
    # As transformers saves it; without the option the reference refuses a model that has no MTP layer and claims none.
    Case(
        "Qwen3.5-without-MTP",
        {"architectures": ["Qwen3_5ForCausalLM"], **NO_MTP},
        tensors(NO_MTP),
        VOCABULARY,
        options=("--no-mtp",),
        weights_of="Qwen3.5-equal-heads",
    ),
    # Every tensor in float16, so that A_log and norms are computed in it.
    Case(
        "Qwen3.5-grouped-heads",
        conditional("Qwen3_5ForConditionalGeneration", "qwen3_5", GROUPED),
        tensors(GROUPED) | mtp(GROUPED) | vision(256),
        VOCABULARY,
        dtype="float16",
        layout=INSIDE,
    ),
    # The file has the MTP layer that config.json does not name; A_log in bfloat16.
    Case(
        "Qwen3.5-odd-rows",
        {"architectures": ["Qwen3_5ForCausalLM"], **ODD},
        tensors(ODD) | mtp(ODD),
        VOCABULARY,
    ),
    Case(
        "Qwen3.5-MoE-stacked",
        conditional("Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", MOE),
        tensors(MOE) | mtp(MOE) | vision(256),
        VOCABULARY,
        layout=inside_and_stacked,
    ),
    # A flat config.json of the conditional class that claims an MTP layer which the file lacks, as pruned models have.
    Case(
        "Qwen3.5-MoE-single",
        {"architectures": ["Qwen3_5MoeForConditionalGeneration"], **MOE},
        tensors(MOE),
        VOCABULARY,
        dtype="float16",
        layout=INSIDE,
    ),
)
