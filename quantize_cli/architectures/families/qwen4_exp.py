"""Qwen3.8-Flash-Next: Qwen 3.5's mixers and experts, with hyper-connections, an indexer, and n-gram embeddings."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import hyper_connections as hyper
from quantize_cli.architectures import indexer
from quantize_cli.architectures import ngram_embedding as ngram
from quantize_cli.architectures.families.qwen3_5 import QWEN3_5_MOE
from quantize_cli.architectures.families.qwen3_next import EXPERTS
from quantize_cli.architectures.family import EXPERTS as EXPERT_STACK
from quantize_cli.architectures.family import Part, leave_out
from quantize_cli.architectures.linear_attention import ALPHA_BETA, DELTA_NET, full_layers
from quantize_cli.architectures.parts import ATTENTION, QK_NORM

QWEN4_EXP = replace(
    QWEN3_5_MOE,
    architecture="qwen4exp",
    metadata=(*QWEN3_5_MOE.metadata, *hyper.HYPER_ROWS, *indexer.INDEXER_ROWS, *ngram.NGRAM_ROWS),
    demands=(*QWEN3_5_MOE.demands, *hyper.HYPER_DEMANDS, *indexer.INDEXER_DEMANDS),
    parts=(
        hyper.HYPER_CONNECTIONS,
        DELTA_NET,
        ALPHA_BETA,
        Part(ATTENTION.names[1:], full_layers),
        QK_NORM.among(full_layers),
        indexer.INDEXER,
        *EXPERTS,
        ngram.NGRAM_PARTS,
    ),
    optional=(),
    outside=("token_embd.weight", *hyper.HYPER_OUTPUT),
    optional_outside=("output.weight", ngram.NGRAM_TABLE),
    namings=(*ngram.NGRAM_NAMINGS, leave_out(r"^(model\.)?mtp\.")),  # llama.cpp cannot run its MTP layer
    stacks=(EXPERT_STACK, ngram.NGRAM_STACK),
    rules=(*QWEN3_5_MOE.rules, *indexer.INDEXER_RULES, *ngram.NGRAM_RULES),
    sizes={**QWEN3_5_MOE.sizes, **hyper.HYPER_SIZES, **indexer.INDEXER_SIZES, **ngram.NGRAM_SIZES},
    shapes={**hyper.HYPER_SHAPES, **indexer.INDEXER_SHAPES, **ngram.NGRAM_SHAPES},
    extra_layers=lambda _model: 0,
    check=ngram.check_ngrams,
    foldings=(),
)
