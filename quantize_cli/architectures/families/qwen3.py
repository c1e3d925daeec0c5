"""Qwen 3, dense and with experts: heads of a width of their own, RMS norms on queries and keys in place of biases."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen2 import QWEN2
from quantize_cli.architectures.families.qwen3_reranker import RERANKER_ROWS, reranker
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, OUTPUT_BIAS, QK_NORM, QKV_BIAS
from quantize_cli.architectures.rows import U32
from quantize_cli.tokenizers.vocabularies import BPE

QWEN3 = replace(
    QWEN2,
    architecture="qwen3",
    metadata=(*QWEN2.metadata, *RERANKER_ROWS),
    parts=(ATTENTION, QK_NORM, FFN_NORM, FFN),
    optional=(QKV_BIAS, OUTPUT_BIAS),
    special=reranker,
)

#: Rows about experts, which Qwen's families have after the common rows.
EXPERT_ROWS = (
    U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
    U32("{arch}.expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
)

QWEN3_MOE = Family(
    architecture="qwen3moe",
    metadata=(*COMMON, *EXPERT_ROWS),
    demands=(*demands.ATTENTION, *demands.EXPERTS, demands.EXPERT_WIDTH),
    vocabulary=BPE,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN),
    optional=(QKV_BIAS, OUTPUT_BIAS),
    rules=STACKED_EXPERTS,
    foldings=foldings.USUAL,
)
