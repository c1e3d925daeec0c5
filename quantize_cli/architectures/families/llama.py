"""Llama 1 to 3.x and the many models that are Llamas in all but name (TinyLlama, SmolLM2 ...)."""

from __future__ import annotations

from dataclasses import replace

from gguf import MODEL_ARCH, GGUFWriter

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.description import Transform
from quantize_cli.architectures.family import Dimensions, Family, Layout
from quantize_cli.architectures.moves import RotaryInterleave
from quantize_cli.architectures.rope import llama3_factors
from quantize_cli.architectures.shapes import DENSE_DECODER, FFN_BIAS, OUTPUT_BIAS, QKV_BIAS, optional
from quantize_cli.architectures.sizes import even_heads, own_kv_heads
from quantize_cli.tokenizers import vocabularies


def _interleave(dimensions: Dimensions) -> Transform:
    return RotaryInterleave(dimensions.head)


def _interleaved(layout: Layout) -> Layout:
    """`layout` with queries and keys in the order ggml's "norm" RoPE rotates them in."""
    rotated = ("blk.{bid}.attn_q.", "blk.{bid}.attn_k.")
    return {
        name: replace(slot, transform=_interleave) if name.startswith(rotated) else slot
        for name, slot in layout.items()
    }


def _add_metadata(writer: GGUFWriter, _config: Config, dimensions: Dimensions) -> None:
    writer.add_vocab_size(dimensions.vocab)
    writer.add_rope_dimension_count(dimensions.head)


LLAMA = Family(
    architecture=MODEL_ARCH.LLAMA,
    model_type="llama",
    vocabulary=vocabularies.LLAMA,
    layout=_interleaved({**DENSE_DECODER, **optional({**QKV_BIAS, **OUTPUT_BIAS, **FFN_BIAS})}),
    defaults={
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    },
    derived={"head_dim": even_heads, "num_key_value_heads": own_kv_heads},
    add_metadata=_add_metadata,
    computed=llama3_factors,
)
