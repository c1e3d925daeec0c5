"""Mamba 1, Falcon Mamba and Mamba 2, with vocabularies that are padded to a multiple."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Arrays, Case, Tensor
from golden.families.layouts import renamed
from golden.families.shapes import Tensors, norms
from golden.families.vocabularies import real
from golden.families.weights import around_one, decay_logarithm

SMALL = {
    "architectures": ["MambaForCausalLM"],
    "bos_token_id": 0,
    "conv_kernel": 4,
    "eos_token_id": 0,
    "expand": 2,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.1,
    "intermediate_size": 512,
    "layer_norm_epsilon": 1e-05,
    "model_type": "mamba",
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "pad_vocab_size_multiple": 8,
    "rescale_prenorm_residual": False,
    "residual_in_fp32": True,
    "state_size": 16,
    "time_step_rank": 16,
    "use_bias": False,
    "use_cache": True,
    "use_conv_bias": True,
    "vocab_size": 2045,
}
#: The config.json of Mamba's own code.
ORIGINAL = {
    "architectures": ["MambaLMHeadModel"],
    "d_model": 272,
    "fused_add_norm": True,
    "n_layer": 2,
    "pad_vocab_size_multiple": 8,
    "residual_in_fp32": True,
    "rms_norm": True,
    "ssm_cfg": {},
    "tie_embeddings": True,
    "vocab_size": 2045,
}
FALCON = {
    **SMALL,
    "architectures": ["FalconMambaForCausalLM"],
    "mixer_rms_eps": 1e-06,
    "model_type": "falcon_mamba",
    "tie_word_embeddings": False,
    "vocab_size": 2048,
}
SECOND = {
    "architectures": ["Mamba2ForCausalLM"],
    "bos_token_id": 0,
    "chunk_size": 256,
    "conv_kernel": 4,
    "eos_token_id": 0,
    "expand": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 256,
    "layer_norm_epsilon": 1e-05,
    "model_type": "mamba2",
    "n_groups": 1,
    "norm_before_gate": True,
    "num_heads": 8,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "rms_norm": True,
    "state_size": 64,
    "tie_word_embeddings": True,
    "use_bias": False,
    "use_conv_bias": True,
    "vocab_size": 2035,
}
CODESTRAL = {**SECOND, "n_groups": 2, "tie_word_embeddings": False, "vocab_size": 2048}


def ends(rows: int, hidden: int, head: bool) -> Tensors:
    """Return the embedding, the last norm and the head."""
    found = {"backbone.embeddings.weight": Tensor((rows, hidden)), **norms(around_one, hidden, "backbone.norm_f")}
    return found | ({"lm_head.weight": Tensor((rows, hidden))} if head else {})


def first(config: Mapping[str, Any], head: bool = False) -> Tensors:
    """Return the tensors of Mamba 1."""
    hidden = config.get("hidden_size") or config["d_model"]
    inner, state, rank = 2 * hidden, config.get("state_size", 16), config.get("time_step_rank", -(-hidden // 16))
    found = ends(2048, hidden, head)
    for layer in range(2):
        mixer = f"backbone.layers.{layer}.mixer"
        found |= norms(around_one, hidden, f"backbone.layers.{layer}.norm")
        found |= {
            f"{mixer}.A_log": Tensor((inner, state), decay_logarithm),
            f"{mixer}.D": Tensor((inner,), around_one),
            f"{mixer}.conv1d.weight": Tensor((inner, 1, 4)),
            f"{mixer}.conv1d.bias": Tensor((inner,)),
            f"{mixer}.in_proj.weight": Tensor((2 * inner, hidden)),
            f"{mixer}.x_proj.weight": Tensor((rank + 2 * state, inner)),
            f"{mixer}.dt_proj.weight": Tensor((inner, rank)),
            f"{mixer}.dt_proj.bias": Tensor((inner,)),
            f"{mixer}.out_proj.weight": Tensor((hidden, inner)),
        }
    return found


def second(config: Mapping[str, Any], head: bool = False) -> Tensors:
    """Return the tensors of Mamba 2."""
    hidden, inner, heads = config["hidden_size"], 2 * config["hidden_size"], config["num_heads"]
    mixed = inner + 2 * config["n_groups"] * config["state_size"]
    found = ends(2048, hidden, head)
    for layer in range(2):
        mixer = f"backbone.layers.{layer}.mixer"
        found |= norms(around_one, hidden, f"backbone.layers.{layer}.norm")
        found |= norms(around_one, inner, f"{mixer}.norm")
        found |= {
            f"{mixer}.A_log": Tensor((heads,), decay_logarithm),
            f"{mixer}.D": Tensor((heads,), around_one),
            f"{mixer}.conv1d.weight": Tensor((mixed, 1, 4)),
            f"{mixer}.conv1d.bias": Tensor((mixed,)),
            f"{mixer}.dt_bias": Tensor((heads,), around_one),
            f"{mixer}.in_proj.weight": Tensor((inner + mixed + heads, hidden)),
            f"{mixer}.out_proj.weight": Tensor((hidden, inner)),
        }
    return found


def with_the_embedding_as_head(tensors: Arrays) -> Arrays:
    """Name the embedding as Mamba's own code does, and store it as the head too."""
    tensors = renamed(("backbone.embeddings.", "backbone.embedding."))(tensors)
    return {**tensors, "lm_head.weight": tensors["backbone.embedding.weight"]}


NEOX = real("pythia-410m")
CASES = (
    Case("Mamba-small", SMALL, first(SMALL), NEOX),
    Case("Mamba-original", ORIGINAL, first(ORIGINAL), NEOX, "float16", layout=with_the_embedding_as_head, slow=True),
    Case("Falcon-Mamba-small", FALCON, first(FALCON, head=True), NEOX, slow=True),
    Case("Mamba2-small", SECOND, second(SECOND), NEOX),
    # The names of Mamba-Codestral.
    Case(
        "Mamba2-groups",
        CODESTRAL,
        second(CODESTRAL, head=True),
        NEOX,
        "float16",
        layout=renamed(("backbone.", "model.backbone."), ("lm_head.", "model.lm_head.")),
        slow=True,
    ),
)
