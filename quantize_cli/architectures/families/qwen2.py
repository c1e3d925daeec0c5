"""Qwen 1.5, 2 and 2.5: Llama's decoder with biases on queries, keys and values."""

from __future__ import annotations

from gguf import MODEL_ARCH, GGUFWriter

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.family import Dimensions, Family
from quantize_cli.architectures.pooling import add_pooling
from quantize_cli.architectures.shapes import DENSE_DECODER, QKV_BIAS
from quantize_cli.architectures.sizes import own_kv_heads
from quantize_cli.tokenizers import vocabularies


def _add_metadata(writer: GGUFWriter, config: Config, _dimensions: Dimensions) -> None:
    add_pooling(writer, config.folder)


QWEN2 = Family(
    architecture=MODEL_ARCH.QWEN2,
    model_type="qwen2",
    vocabulary=vocabularies.QWEN2,
    layout={**DENSE_DECODER, **QKV_BIAS},
    defaults={
        "vocab_size": 151936,
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    },
    derived={"num_key_value_heads": own_kv_heads},
    add_metadata=_add_metadata,
)
