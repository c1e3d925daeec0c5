"""Gemma 1 and 2: RMS norms whose weights are stored less 1; Gemma 2 has norms behind both halves of a layer."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import CONTEXT, FFN, HEADS, HIDDEN, KV_HEADS
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part, change, leave_out_tied_head
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.parts import ATTENTION, FFN_NORM
from quantize_cli.architectures.parts import FFN as FFN_PART
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import GEMMA1, GEMMA_SPM

GEMMA = Family(
    architecture="gemma",
    metadata=(
        U32("{arch}.context_length", *CONTEXT),
        U32("{arch}.embedding_length", *HIDDEN),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.feed_forward_length", *FFN),
        U32("{arch}.attention.head_count", *HEADS),
        U32("{arch}.attention.head_count_kv", *KV_HEADS, *HEADS),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        U32("{arch}.attention.key_length", "head_dim"),
        U32("{arch}.attention.value_length", "head_dim"),
    ),
    demands=demands.ATTENTION,
    vocabulary=GEMMA1,
    parts=(ATTENTION, FFN_NORM, FFN_PART),
    optional_outside=(),  # the embedding is the head
    namings=(leave_out_tied_head,),
    rules=(change(r"norm\.weight$", Add(1.0)),),
    foldings=foldings.USUAL,
)

GEMMA2 = replace(
    GEMMA,
    architecture="gemma2",
    metadata=(
        *GEMMA.metadata,
        F32("{arch}.attn_logit_softcapping", "attn_logit_softcapping"),
        F32("{arch}.final_logit_softcapping", "final_logit_softcapping"),
        U32("{arch}.attention.sliding_window", "sliding_window"),
    ),
    demands=(
        *demands.ATTENTION,
        Demand("attention.sliding_window"),
        Demand("rope.freq_base_swa", ValueType.FLOAT32),
        Demand("attn_logit_softcapping", ValueType.FLOAT32, least=None),
        Demand("final_logit_softcapping", ValueType.FLOAT32, least=None),
    ),
    vocabulary=GEMMA_SPM,
    parts=(*GEMMA.parts, Part(("post_attention_norm.weight", "post_ffw_norm.weight"))),
)
