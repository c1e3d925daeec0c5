"""GPT-NeoX and Pythia: queries, keys and values fused by head, and a rotation of a part of each head."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.common import FFN
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.gpt2 import GPT2
from quantize_cli.architectures.family import move
from quantize_cli.architectures.moves import Gathered, Move
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, Sizes, product, rotated
from quantize_cli.gguf_file.fields import ValueType


def _by_kind(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Gathered(sizes.known("heads"), (sizes.known("head"),) * 3),)


GPT_NEOX = replace(
    GPT2,
    architecture="gptneox",
    metadata=(
        U32("{arch}.context_length", "max_position_embeddings"),
        U32("{arch}.embedding_length", "hidden_size"),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.rope.dimension_count", value=rotated(None, "rotary_pct")),
        U32("{arch}.attention.head_count", "num_attention_heads"),
        BOOL("{arch}.use_parallel_residual", "use_parallel_residual", value=True),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_eps"),
    ),
    demands=(*GPT2.demands, Demand("use_parallel_residual", ValueType.BOOL, required=True)),
    outside=("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"),
    namings=(),
    rules=(move(r"\.query_key_value\.(weight|bias)$", _by_kind),),
    sizes={**GPT2.sizes, "ffn": Named(*FFN), "qkv": product("three", "heads", "head")},
)
