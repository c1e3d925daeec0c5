"""GPT-2 as transformers saves it, and as it lies on the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.families.case import Case, Tensor
from golden.families.shapes import Tensors, biased, norms
from golden.families.vocabularies import numbers, real
from golden.families.weights import around_one

VOCABULARY = real("gpt2")

SMALL = {
    **numbers(VOCABULARY),
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 128,
    "n_embd": 256,
    "n_head": 4,
    "n_layer": 2,
    "n_positions": 128,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
}


def tensors(config: Mapping[str, Any], prefix: str = "transformer.") -> Tensors:
    """Return the tensors; matrices of the layers are stored transposed."""
    hidden = config["n_embd"]
    found = {
        f"{prefix}wte.weight": Tensor((config["vocab_size"], hidden)),
        f"{prefix}wpe.weight": Tensor((config["n_ctx"], hidden)),
        **biased(norms(around_one, hidden, f"{prefix}ln_f")),
    }
    for layer in range(config["n_layer"]):
        block = f"{prefix}h.{layer}"
        found |= biased(norms(around_one, hidden, f"{block}.ln_1", f"{block}.ln_2"))
        for name, rows, columns in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, 4 * hidden),
            ("mlp.c_proj", 4 * hidden, hidden),
        ):
            found[f"{block}.{name}.weight"] = Tensor((rows, columns))
            found[f"{block}.{name}.bias"] = Tensor((columns,))
    return found


def buffers(config: Mapping[str, Any]) -> Tensors:
    """Return the masks that the Hub's file has, by which the reference fails."""
    return {f"h.{layer}.attn.bias": Tensor((1, 1, 128, 128)) for layer in range(config["n_layer"])}


CASES = (
    # transformers 5 loses n_ctx, which the reference needs.
    Case("GPT2-small", SMALL, tensors(SMALL), VOCABULARY, dtype="float32", raw_config=True),
    Case("GPT2-without-prefix", SMALL, tensors(SMALL, ""), VOCABULARY, dtype="float16", raw_config=True),
)
