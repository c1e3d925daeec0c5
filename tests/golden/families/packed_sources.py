"""Checkpoints that are quantized on the Hub: FP8 by block, by row and by tensor, and others, in several families.

The reference decodes them to float32; its file is recorded in F32, the type that loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
from golden.families import deepseek, llama4, minimax, qwen3_text
from golden.families.case import Case, Layout, Tensor, Vocabulary
from golden.families.packing import blocks_of_fp8, packed, whole_in_fp8
from golden.families.shapes import Tensors
from golden.families.vocabularies import llama_json, real

#: What the Hub's config.json of FP8 in squares states.
SQUARES = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
}
#: The same of Mistral's FP8 with one scale for a matrix.
WHOLE = {
    "activation_scheme": "static",
    "dequantize": False,
    "modules_to_not_convert": ["model.vision_tower", "model.multi_modal_projector", "lm_head"],
    "quant_method": "fp8",
    "weight_block_size": None,
}


def quantized(
    name: str,
    config: Mapping[str, Any],
    tensors: Tensors,
    vocabulary: Vocabulary,
    quantization: Mapping[str, Any],
    layout: Layout,
    **more: Any,
) -> Case:
    """Return a case of a checkpoint in 16 bits whose matrices a layout packs."""
    plain = {key: _in_16_bits(tensor) for key, tensor in tensors.items()}
    stated = {**config, "quantization_config": dict(quantization)}
    return Case(name, stated, plain, vocabulary, dtype="float32", layout=layout, **more)


def _in_16_bits(tensor: Tensor) -> Tensor:
    return replace(tensor, dtype=tensor.dtype or "bfloat16")


BF16 = ml_dtypes.bfloat16

CASES = (
    # Rows of 320, so the last square of a row is half as wide; heads of 128.
    quantized(
        "Qwen3-FP8",
        qwen3_text.UNTIED,
        qwen3_text.tensors(qwen3_text.UNTIED),
        real("qwen3"),
        {**SQUARES, "modules_to_not_convert": ["lm_head", "model.layers.0.input_layernorm"]},
        packed(blocks_of_fp8("weight_scale_inv", BF16)),
    ),
    # Latent attention, whose matrices are taken apart: 320 rows are two and a half squares. With an MTP layer.
    quantized(
        "DeepSeek-V3-FP8",
        deepseek.V3,
        deepseek.tensors(deepseek.V3),
        deepseek.deepseek(),
        SQUARES,
        packed(blocks_of_fp8("weight_scale_inv")),
        shards=2,
        slow=True,
    ),
    quantized(
        "MiniMax-M2-FP8",
        minimax.M2,
        minimax.tensors(minimax.M2),
        minimax.VOCABULARY,
        {**SQUARES, "modules_to_not_convert": ["gate", "e_score_correction_bias", "lm_head"]},
        packed(blocks_of_fp8("weight_scale_inv")),
        slow=True,
    ),
    # Queries and keys are rearranged; scales and activations' scales are single numbers.
    quantized(
        "Ministral-3-FP8",
        {**llama4.MISTRAL, "text_config": llama4.MINISTRAL},
        llama4.dense(llama4.MINISTRAL, "language_model."),
        llama_json(),
        WHOLE,
        packed(whole_in_fp8("weight_scale_inv", "activation_scale", BF16)),
        slow=True,
    ),
)
