"""StarCoder 1: GPT-2's decoder whose heads share one key and one value."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.families.gpt2 import GPT2
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import SIZES, total


def _four_hidden(model: Model) -> int:
    return 4 * model.config.required("n_embd")


STARCODER = replace(
    GPT2,
    architecture="starcoder",
    metadata=(
        U32("{arch}.context_length", "n_positions"),
        U32("{arch}.embedding_length", "n_embd"),
        U32("{arch}.feed_forward_length", value=_four_hidden),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", "n_head"),
        U32("{arch}.attention.head_count_kv", value=1),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ),
    rules=(),  # matrices are stored as they are used
    sizes={
        "ffn": lambda sizes: _four_hidden(sizes.model),
        "key": SIZES["head"],
        "value": SIZES["head"],
        "qkv": total("query", "key", "value"),
    },
)
