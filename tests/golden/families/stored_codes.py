"""Checkpoints that are quantized on the Hub: FP8 by block, by row and by tensor, and others, in several families.

The reference decodes them to float32; its file is recorded in F32, the type that loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
from golden.families import deepseek, glm, latent, llama4, minimax, qwen3_5, qwen3_moe, qwen3_text
from golden.families.case import Case, Layout, Tensor, Vocabulary
from golden.families.layouts import stacked
from golden.families.packing import (
    FP8,
    blocks_of_fp8,
    groups_of_gptq,
    groups_of_int4,
    in_turn,
    packed,
    quarters,
    rows_of_codes,
    stacks_of_fp8,
    whole_in_fp8,
)
from golden.families.shapes import Tensors
from golden.families.vocabularies import llama_json, real

#: The matrices of Qwen 3.5 that its makers quantize.
LINEAR_ATTENTION = r"(_proj|\.in_proj_(qkv|z))\.weight$"

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
    """Return a case of a checkpoint in 16 bits whose matrices a layout packs; `config` may state how, too."""
    plain = {key: _in_16_bits(tensor) for key, tensor in tensors.items()}
    stated = {**config, **({"quantization_config": dict(quantization)} if quantization else {})}
    return Case(name, stated, plain, vocabulary, dtype="float32", layout=layout, **more)


def _in_16_bits(tensor: Tensor) -> Tensor:
    return replace(tensor, dtype=tensor.dtype or "bfloat16")


def compressed(kind: str, ignored: list[str], **weights: Any) -> dict[str, Any]:
    """Return what llm-compressor states of a model whose layers are all quantized alike."""
    usual = {"actorder": None, "block_structure": None, "dynamic": False, "group_size": None, "observer": "minmax"}
    group = {
        "input_activations": None,
        "output_activations": None,
        "targets": ["Linear"],
        "weights": {**usual, "observer_kwargs": {}, "symmetric": True, **weights},
    }
    return {
        "config_groups": {"group_0": group},
        "format": kind,
        "ignore": ignored,
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }


BF16 = ml_dtypes.bfloat16
ROWS_OF_FP8 = compressed("float-quantized", ["lm_head"], num_bits=8, strategy="channel", type="float")
ROWS_OF_INT8 = compressed("int-quantized", ["lm_head"], num_bits=8, strategy="channel", type="int")
FP8_IN_SQUARES = compressed(
    "float-quantized", ["lm_head"], block_structure=[128, 128], num_bits=8, strategy="block", type="float"
)
GROUPS_OF_INT4 = compressed("pack-quantized", ["lm_head"], group_size=32, num_bits=4, strategy="group", type="int")
#: Kimi K2.5 states its quantization in the text part, and packs routed experts alone.
GPTQ = {
    "bits": 4,
    "checkpoint_format": "gptq",
    "damp_percent": 0.1,
    "desc_act": True,
    "group_size": 32,
    "lm_head": False,
    "quant_method": "gptq",
    "sym": True,
    "true_sequential": True,
}
MODELOPT = {
    "producer": {"name": "modelopt", "version": "0.33.0"},
    "quantization": {"exclude_modules": ["lm_head"], "kv_cache_quant_algo": None, "quant_algo": "FP8"},
}
LLAMA = {
    **llama4.BASE,
    "architectures": ["LlamaForCausalLM"],
    "head_dim": 64,
    "hidden_size": 320,
    "model_type": "llama",
    "vocab_size": 314,
}
KIMI = {**latent.K25, "text_config": {**latent.K2, "model_type": "kimi_k2", "quantization_config": GROUPS_OF_INT4}}

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
        deepseek.VOCABULARY,
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
    # Stacks as transformers 5 saves them.
    quantized(
        "Qwen3-MoE-FP8-stacked",
        qwen3_moe.PLAIN,
        qwen3_moe.tensors(qwen3_moe.PLAIN),
        qwen3_moe.CUT,
        SQUARES,
        in_turn(stacked, packed(blocks_of_fp8("weight_scale_inv")), packed(stacks_of_fp8(), r"experts\.\w+_proj$")),
        slow=True,
    ),
    # Rows and columns of the linear attention are rearranged by heads.
    quantized(
        "Qwen3.5-FP8",
        qwen3_5.conditional("Qwen3_5ForConditionalGeneration", "qwen3_5", qwen3_5.GROUPED),
        qwen3_5.tensors(qwen3_5.GROUPED) | qwen3_5.mtp(qwen3_5.GROUPED) | qwen3_5.vision(256),
        qwen3_5.VOCABULARY,
        {**SQUARES, "modules_to_not_convert": ["lm_head", "model.language_model.layers.0.linear_attn.in_proj_a"]},
        in_turn(packed(blocks_of_fp8("weight_scale_inv", BF16), LINEAR_ATTENTION), qwen3_5.INSIDE),
        slow=True,
    ),
    # Queries and keys are rearranged; scales and activations' scales are single numbers.
    quantized(
        "Ministral-3-FP8",
        {**llama4.MISTRAL, "text_config": llama4.MINISTRAL},
        llama4.dense(llama4.MINISTRAL, "language_model."),
        llama4.TEKKEN,
        WHOLE,
        packed(whole_in_fp8("weight_scale_inv", "activation_scale", BF16)),
        slow=True,
    ),
    # Experts and an MTP layer, whose matrices have a scale for each row.
    quantized(
        "GLM-4.5-FP8",
        glm.MOE,
        glm.sparse(glm.MOE),
        glm.VOCABULARY,
        ROWS_OF_FP8,
        packed(rows_of_codes(448, FP8, BF16)),
        slow=True,
    ),
    quantized(
        "Llama-W8A8",
        LLAMA,
        llama4.dense(LLAMA),
        llama_json(),
        ROWS_OF_INT8,
        packed(rows_of_codes(127, np.int8, np.float32)),
        slow=True,
    ),
    quantized(
        "Qwen3-FP8-in-squares",
        qwen3_text.UNTIED,
        qwen3_text.tensors(qwen3_text.UNTIED),
        real("qwen3"),
        FP8_IN_SQUARES,
        packed(blocks_of_fp8("weight_scale", BF16)),
        slow=True,
    ),
    quantized(
        "Kimi-K2.5-INT4",
        KIMI,
        deepseek.tensors(latent.K2) | latent.IMAGES,
        latent.KIMI,
        {},
        in_turn(packed(groups_of_int4(), r"\.experts\.\d+\."), latent.WRAPPED),
        raw_config=True,
    ),
    # Rows of 320, ten groups.
    quantized(
        "Llama-W4A16",
        LLAMA,
        llama4.dense(LLAMA),
        llama_json(),
        {**GROUPS_OF_INT4, "ignore": ["lm_head"]},
        packed(groups_of_int4(np.float16)),
        shards=2,
        slow=True,
    ),
    # The groups of columns are mixed, as those of `desc_act`.
    quantized(
        "Llama-GPTQ",
        LLAMA,
        llama4.dense(LLAMA),
        llama_json(),
        GPTQ,
        packed(groups_of_gptq(4, 32, in_order=False)),
        slow=True,
    ),
    quantized(
        "Llama-GPTQ-v2",
        LLAMA,
        llama4.dense(LLAMA),
        llama_json(),
        {**GPTQ, "bits": 8, "checkpoint_format": "gptq_v2", "desc_act": False},
        packed(groups_of_gptq(8, 64, in_order=True)),
        slow=True,
    ),
    # config.json does not tell of it.
    quantized(
        "Llama-FP8-ModelOpt",
        LLAMA,
        llama4.dense(LLAMA),
        Vocabulary({**llama_json().files, "hf_quant_config.json": json.dumps(MODELOPT).encode()}),
        {},
        packed(whole_in_fp8("weight_scale", "input_scale", np.float32)),
        slow=True,
    ),
    quantized(
        "Llama-BitNet",
        LLAMA,
        llama4.dense(LLAMA),
        llama_json(),
        {"linear_class": "autobitlinear", "quant_method": "bitnet", "quantization_mode": "offline"},
        packed(quarters),
        options=("--no-lazy",),  # otherwise the reference stops at a tensor of another device
        slow=True,
    ),
)
