"""Llama 1 to 3.x, Mistral and Mixtral, and the many models that are Llamas in all but name (TinyLlama, SmolLM2 ...)."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.family import Family, move, rename
from quantize_cli.architectures.moves import Move, RotaryInterleave
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_BIAS,
    FFN_NORM,
    OUTPUT_BIAS,
    QKV_BIAS,
    with_experts,
    without_experts,
)
from quantize_cli.architectures.rope import llama3_factors, main_parameters
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Sizes, head_size
from quantize_cli.tokenizers.vocabularies import LLAMA as LLAMA_VOCABULARY


def _interleaved(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (RotaryInterleave(sizes.known("head")),)


def _rope_factors(sizes: Sizes) -> tuple[TensorRecipe, ...]:
    rope = main_parameters(sizes.model.rope)
    if (rope.text("rope_type") or "").lower() != "llama3":
        return ()
    factors = llama3_factors(rope, sizes.known("head"))
    return (TensorRecipe("rope_freqs.weight", (len(factors),), (), values=factors, stored_type="F32"),)


LLAMA = Family(
    architecture="llama",
    metadata=(
        *COMMON,
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.rope.dimension_count", value=head_size),
    ),
    demands=(*demands.ATTENTION, demands.VOCABULARY),
    vocabulary=LLAMA_VOCABULARY,
    parts=(ATTENTION, FFN_NORM, FFN.among(without_experts), EXPERT_FFN.among(with_experts)),
    optional=(QKV_BIAS, OUTPUT_BIAS, FFN_BIAS),
    namings=(rename(r"text_model\.", ""),),  # SmolVLM
    # Queries and keys in the order in which ggml's "norm" RoPE rotates them.
    rules=(move(r"\.[qk]_proj\.(weight|bias)$", _interleaved), *STACKED_EXPERTS),
    computed=_rope_factors,
    foldings=foldings.USUAL,
)

#: Embedding models whose tokens attend to those behind them too.
LLAMA_EMBED = replace(LLAMA, architecture="llama-embed", foldings=())
