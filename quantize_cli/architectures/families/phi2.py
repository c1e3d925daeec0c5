"""Phi-2: one norm for both halves of a layer, biases everywhere, and rotation of a part of each head."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import HIDDEN
from quantize_cli.architectures.families.phi3 import CONTEXT, ENDS, rotated
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import (
    ATTENTION,
    ATTENTION_NORM_BIAS,
    OUTPUT_BIAS,
    PLAIN_FFN,
    PLAIN_FFN_BIAS,
    QKV_BIAS,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.tokenizers.vocabularies import BPE


def _four_hidden(model: Model) -> int:
    return 4 * model.config.required(*HIDDEN)


PHI2 = Family(
    architecture="phi2",
    metadata=(
        U32("{arch}.context_length", *CONTEXT),
        U32("{arch}.embedding_length", *HIDDEN),
        U32("{arch}.feed_forward_length", value=_four_hidden),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", "num_attention_heads", "n_head"),
        U32("{arch}.attention.head_count_kv", "num_attention_heads", "n_head"),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_epsilon", "layer_norm_eps"),
        U32("{arch}.rope.dimension_count", value=rotated),
        BOOL("tokenizer.ggml.add_bos_token", value=False),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS),
    vocabulary=BPE,
    parts=(ATTENTION, ATTENTION_NORM_BIAS, QKV_BIAS, OUTPUT_BIAS, PLAIN_FFN, PLAIN_FFN_BIAS),
    outside=ENDS,
    sizes={"ffn": lambda sizes: _four_hidden(sizes.model), "kv_heads": lambda sizes: sizes["heads"]},
    shapes={"output.bias": ("vocab",)},
    foldings=(foldings.ONE_NORM, foldings.VALUES),
)
