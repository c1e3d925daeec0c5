"""Mistral 7B and its kin: in a GGUF file, a Llama."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.families.llama import LLAMA

MISTRAL = replace(
    LLAMA,
    model_type="mistral",
    defaults={
        **LLAMA.defaults,
        "intermediate_size": 14336,
        "max_position_embeddings": 4096 * 32,
        "num_key_value_heads": 8,
    },
)
