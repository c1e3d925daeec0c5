"""StableLM 2, 3B and Zephyr: layer norms with biases; the largest has a norm for each head."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import EXPERTS, Family, Part, Stack
from quantize_cli.architectures.parts import (
    ATTENTION,
    ATTENTION_NORM_BIAS,
    FFN,
    FFN_NORM,
    FFN_NORM_BIAS,
    QKV_BIAS,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import rotated
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import BPE

STABLELM = Family(
    architecture="stablelm",
    metadata=(
        U32("{arch}.context_length", "max_position_embeddings"),
        U32("{arch}.embedding_length", "hidden_size"),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.feed_forward_length", "intermediate_size"),
        U32("{arch}.rope.dimension_count", value=rotated(None)),
        U32("{arch}.attention.head_count", "num_attention_heads"),
        U32("{arch}.attention.head_count_kv", "num_key_value_heads"),
        BOOL("{arch}.use_parallel_residual", "use_parallel_residual", value=True),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_eps", "norm_eps"),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS, Demand("use_parallel_residual", ValueType.BOOL)),
    vocabulary=BPE,
    parts=(ATTENTION, ATTENTION_NORM_BIAS, FFN),
    optional=(QKV_BIAS, FFN_NORM, FFN_NORM_BIAS, Part(("attn_q_norm.weight", "attn_k_norm.weight"))),
    outside=("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"),
    optional_outside=(),
    # The reference loses these norms of the 12B model.
    stacks=(EXPERTS, Stack(r"(.*\.[qk]_layernorm)\.norms\.(\d{1,9})\.(weight)")),
    shapes={"attn_q_norm.weight": ("heads", "head"), "attn_k_norm.weight": ("kv_heads", "head")},
    foldings=foldings.USUAL,
)
