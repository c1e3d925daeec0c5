"""The table of families: `architectures` of config.json -> family."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.families.deepseek import DEEPSEEK2
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.families.qwen2 import QWEN2
from quantize_cli.architectures.families.qwen3 import QWEN3, QWEN3_MOE
from quantize_cli.architectures.families.qwen3_5 import QWEN3_5, QWEN3_5_MOE
from quantize_cli.architectures.family import Family

FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "MixtralForCausalLM": LLAMA,
    "Qwen2ForCausalLM": QWEN2,
    "Qwen3ForCausalLM": QWEN3,
    "Qwen3MoeForCausalLM": QWEN3_MOE,
    "Qwen3_5ForCausalLM": QWEN3_5,
    "Qwen3_5ForConditionalGeneration": QWEN3_5,
    "Qwen3_5MoeForCausalLM": QWEN3_5_MOE,
    "Qwen3_5MoeForConditionalGeneration": QWEN3_5_MOE,
    "DeepseekV2ForCausalLM": DEEPSEEK2,
    "DeepseekV3ForCausalLM": DEEPSEEK2,
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma3ForConditionalGeneration": GEMMA3,
}
