"""EmbeddingGemma: Gemma 3 without a head; the dense layers behind the pooling are not part of the file."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.pooling import pooling_type
from quantize_cli.architectures.rows import U32
from quantize_cli.gguf_file.fields import ValueType

EMBEDDING_GEMMA = replace(
    GEMMA3,
    architecture="gemma-embedding",
    metadata=(
        *GEMMA3.metadata,
        U32("{arch}.attention.sliding_window", "sliding_window"),
        U32("{arch}.pooling_type", value=lambda model: pooling_type(model.sidecars)),
    ),
    demands=(
        *demands.ATTENTION,
        demands.Demand("attention.sliding_window", required=True),
        demands.Demand("rope.freq_base_swa", ValueType.FLOAT32),
    ),
    foldings=(),
)
