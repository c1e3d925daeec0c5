"""Decoders of other makers: OLMo 1, EXAONE 3, Nemotron 3 and 4, Jais 2, StarCoder 1, dots.llm1 and Mellum 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, attention, biased, ends, linear, mlp, norms
from golden.families.vocabularies import QWEN_3_SPLIT, llama_sentencepiece, qwen, real
from golden.families.weights import around_one, around_zero

SIZES = {
    "head_dim": 64,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "use_cache": True,
    "vocab_size": 320,
}
NEOX_VOCABULARY = real("pythia-410m")
OLMO = {
    **{key: value for key, value in SIZES.items() if key != "head_dim"},
    "architectures": ["OlmoForCausalLM"],
    "attention_bias": False,
    "clip_qkv": 8.0,
    "eos_token_id": 0,
    "hidden_act": "silu",
    "model_type": "olmo",
    "num_key_value_heads": 4,
    "pad_token_id": 1,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "vocab_size": 2005,
}
OLMO_ODD = {**OLMO, "clip_qkv": None, "hidden_size": 288, "intermediate_size": 160, "tie_word_embeddings": True}
EXAONE = {
    **{key: value for key, value in SIZES.items() if key != "num_hidden_layers"},
    "activation_function": "silu",
    "architectures": ["ExaoneForCausalLM"],
    "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_exaone.ExaoneConfig"},
    "bos_token_id": 280,
    "embed_dropout": 0.0,
    "eos_token_id": 282,
    "layer_norm_epsilon": 1e-05,
    "model_type": "exaone",
    "num_layers": 2,
    "pad_token_id": 281,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
#: With the epsilon under the name that the reference looks for.
NAMED = {**EXAONE, "rms_norm_eps": 1e-05}
NEMOTRON = {
    **SIZES,
    "architectures": ["NemotronForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "relu2",
    "mlp_bias": False,
    "model_type": "nemotron",
    "norm_eps": 1e-05,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000,
    "tie_word_embeddings": False,
}
JAIS = {
    **SIZES,
    "architectures": ["Jais2ForCausalLM"],
    "attention_bias": True,
    "bos_token_id": 280,
    "eos_token_id": 282,
    "hidden_act": "relu2",
    "layer_norm_eps": 1e-05,
    "mlp_bias": True,
    "model_type": "jais2",
    "num_key_value_heads": 4,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}
STARCODER = {
    "activation_function": "gelu_pytorch_tanh",
    "architectures": ["GPTBigCodeForCausalLM"],
    "attention_softmax_in_fp32": True,
    "attn_pdrop": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "inference_runner": 0,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt_bigcode",
    "multi_query": True,
    "n_embd": 256,
    "n_head": 4,
    "n_inner": 1024,
    "n_layer": 2,
    "n_positions": 128,
    "scale_attention_softmax_in_fp32": True,
    "scale_attn_weights": True,
    "vocab_size": 2003,
}
EXPERTS = {"moe_intermediate_size": 256, "norm_topk_prob": True, "num_experts_per_tok": 2}
DOTS = {
    **SIZES,
    **EXPERTS,
    "architectures": ["Dots1ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": None,
    "eos_token_id": 282,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "model_type": "dots1",
    "moe_layer_freq": 1,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "sliding_window": None,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "noaux_tc",
}
MELLUM = {
    **SIZES,
    **EXPERTS,
    "architectures": ["MellumForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 280,
    "eos_token_id": 282,
    "hidden_act": "silu",
    "layer_types": ["sliding_attention", "full_attention"],
    "model_type": "mellum",
    "num_local_experts": 4,
    "rms_norm_eps": 1e-06,
    "rope_parameters": {
        "full_attention": {"rope_theta": 500000.0, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
    },
    "sliding_window": 1024,
    "tie_word_embeddings": False,
    "use_sliding_window": True,
}


def _norm(name: str, hidden: int) -> Tensors:
    """Return a norm with a bias."""
    return {f"{name}.weight": Tensor((hidden,), around_zero), f"{name}.bias": Tensor((hidden,))}


def _heads(prefix: str, config: Mapping[str, Any]) -> Tensors:
    head = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    return attention(prefix, config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"], head)


def olmo(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of OLMo 1, whose norms have no weights."""
    hidden = config["hidden_size"]
    found = ends(config["vocab_size"], hidden, around_one, config["tie_word_embeddings"])
    del found["model.norm.weight"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found |= _heads(f"{prefix}.self_attn", config) | mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
    return found


def exaone(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of EXAONE 3."""
    hidden = config["hidden_size"]
    found = linear("transformer.wte", config["vocab_size"], hidden) | norms(around_one, hidden, "transformer.ln_f")
    for layer in range(config["num_layers"]):
        prefix = f"transformer.h.{layer}"
        heads = _heads(f"{prefix}.attn.attention", config)
        found |= {name.replace("o_proj", "out_proj"): tensor for name, tensor in heads.items()}
        found |= norms(around_one, hidden, f"{prefix}.ln_1", f"{prefix}.ln_2")
        found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"], ("c_fc_0", "c_fc_1", "c_proj"))
    return found


def plain(config: Mapping[str, Any], bias: bool) -> Tensors:
    """Return the tensors of Nemotron or, with biases, of Jais 2: norms with biases, and no gates."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    found = {**ends(config["vocab_size"], hidden, around_one), **_norm("model.norm", hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        matrices = _heads(f"{prefix}.self_attn", config)
        matrices |= linear(f"{prefix}.mlp.up_proj", ffn, hidden) | linear(f"{prefix}.mlp.down_proj", hidden, ffn)
        found |= biased(matrices) if bias else matrices
        found |= _norm(f"{prefix}.input_layernorm", hidden) | _norm(f"{prefix}.post_attention_layernorm", hidden)
    return found


def starcoder(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of StarCoder 1: all heads share a key and a value."""
    hidden, head = config["n_embd"], config["n_embd"] // config["n_head"]
    found = linear("transformer.wte", config["vocab_size"], hidden)
    found |= linear("transformer.wpe", config["n_positions"], hidden) | _norm("transformer.ln_f", hidden)
    for layer in range(config["n_layer"]):
        prefix = f"transformer.h.{layer}"
        found |= _norm(f"{prefix}.ln_1", hidden) | _norm(f"{prefix}.ln_2", hidden)
        found |= biased(
            linear(f"{prefix}.attn.c_attn", hidden + 2 * head, hidden)
            | linear(f"{prefix}.attn.c_proj", hidden, hidden)
            | linear(f"{prefix}.mlp.c_fc", config["n_inner"], hidden)
            | linear(f"{prefix}.mlp.c_proj", hidden, config["n_inner"])
        )
    return found


def sparse(config: Mapping[str, Any]) -> Tensors:
    """Return the tensors of dots.llm1 or Mellum 2: norms of heads, and experts, some of them shared."""
    hidden, head, ffn = config["hidden_size"], config["head_dim"], config["moe_intermediate_size"]
    count, shared = config.get("n_routed_experts") or config["num_local_experts"], config.get("n_shared_experts")
    found = ends(config["vocab_size"], hidden, around_one)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        attn = f"{prefix}.self_attn"
        found |= _heads(attn, config) | norms(around_one, head, f"{attn}.q_norm", f"{attn}.k_norm")
        found |= norms(around_one, hidden, f"{prefix}.input_layernorm", f"{prefix}.post_attention_layernorm")
        if layer < config.get("first_k_dense_replace", 0):
            found |= mlp(f"{prefix}.mlp", hidden, config["intermediate_size"])
            continue
        found |= linear(f"{prefix}.mlp.gate", count, hidden)
        if shared:
            found[f"{prefix}.mlp.gate.e_score_correction_bias"] = Tensor((count,), dtype="float32")
            found |= mlp(f"{prefix}.mlp.shared_experts", hidden, shared * ffn)
        for expert in range(count):
            found |= mlp(f"{prefix}.mlp.experts.{expert}", hidden, ffn)
    return found


WORDS = llama_sentencepiece()
EXAONE_WORDS = qwen(QWEN_3_SPLIT, "exaone")


CASES = (
    Case("OLMo-1", OLMO, olmo(OLMO), NEOX_VOCABULARY),
    Case("OLMo-1-odd-rows", OLMO_ODD, olmo(OLMO_ODD), NEOX_VOCABULARY, dtype="float16", slow=True),
    Case("EXAONE-3.5", NAMED, exaone(EXAONE), EXAONE_WORDS, raw_config=True),
    # As on the Hub: the reference does not find the activation in what transformers 5 makes of it.
    Case(
        "EXAONE-3.5-Hub",
        EXAONE,
        exaone(EXAONE),
        EXAONE_WORDS,
        weights_of="EXAONE-3.5",
        refusal="activation_function",
        slow=True,
    ),
    Case("Nemotron-Mini", NEMOTRON, plain(NEMOTRON, bias=False), WORDS),
    Case("Nemotron-Mini-half", NEMOTRON, plain(NEMOTRON, bias=False), WORDS, dtype="float16", slow=True),
    Case("Jais-2", JAIS, plain(JAIS, bias=True), qwen(QWEN_3_SPLIT, "jais-2")),
    Case("StarCoder-1", STARCODER, starcoder(STARCODER), real("granite-3.1-moe")),
    Case("dots.llm1", DOTS, sparse(DOTS), qwen(QWEN_3_SPLIT, "qwen2")),
    Case("Mellum-2", MELLUM, sparse(MELLUM), qwen(QWEN_3_SPLIT, "mellum2")),
)
