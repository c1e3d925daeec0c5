"""The table of families: `architectures` of config.json -> family."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.families.apertus import APERTUS
from quantize_cli.architectures.families.arcee import ARCEE
from quantize_cli.architectures.families.baichuan import BAICHUAN
from quantize_cli.architectures.families.cohere import COHERE, COHERE2
from quantize_cli.architectures.families.deepseek import DEEPSEEK2
from quantize_cli.architectures.families.ernie4_5 import ERNIE4_5, ERNIE4_5_MOE
from quantize_cli.architectures.families.exaone4 import EXAONE4
from quantize_cli.architectures.families.falcon import FALCON
from quantize_cli.architectures.families.falcon_h1 import FALCON_H1
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.families.gpt2 import GPT2
from quantize_cli.architectures.families.gpt_neox import GPT_NEOX
from quantize_cli.architectures.families.gpt_oss import GPT_OSS
from quantize_cli.architectures.families.granite import GRANITE, GRANITE_MOE
from quantize_cli.architectures.families.internlm2 import INTERNLM2
from quantize_cli.architectures.families.lfm2 import LFM2, LFM2_MOE
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.families.minicpm import MINICPM
from quantize_cli.architectures.families.olmo import OLMO2, OLMOE
from quantize_cli.architectures.families.qwen2 import KORMO, QWEN2
from quantize_cli.architectures.families.qwen2_moe import QWEN2_MOE
from quantize_cli.architectures.families.qwen2_vl import QWEN2_VL
from quantize_cli.architectures.families.qwen3 import QWEN3, QWEN3_MOE
from quantize_cli.architectures.families.qwen3_5 import QWEN3_5, QWEN3_5_MOE
from quantize_cli.architectures.families.qwen3_vl import QWEN3_ASR, QWEN3_OMNI_MOE, QWEN3_VL, QWEN3_VL_MOE
from quantize_cli.architectures.families.seed_oss import SEED_OSS
from quantize_cli.architectures.families.smollm3 import SMOLLM3
from quantize_cli.architectures.families.stablelm import STABLELM
from quantize_cli.architectures.families.starcoder2 import STARCODER2
from quantize_cli.architectures.family import Family

FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "MixtralForCausalLM": LLAMA,
    "Qwen2ForCausalLM": QWEN2,
    "Qwen2AudioForConditionalGeneration": QWEN2,
    "AudioFlamingo3ForConditionalGeneration": QWEN2,
    "DotsOCRForCausalLM": QWEN2,
    "KORMoForCausalLM": KORMO,
    "Qwen2VLForConditionalGeneration": QWEN2_VL,
    "Qwen2_5_VLForConditionalGeneration": QWEN2_VL,
    "Qwen2_5OmniModel": QWEN2_VL,
    "Qwen2MoeForCausalLM": QWEN2_MOE,
    "Qwen3ForCausalLM": QWEN3,
    "Qwen3MoeForCausalLM": QWEN3_MOE,
    "Qwen3VLForConditionalGeneration": QWEN3_VL,
    "Qwen3VLMoeForConditionalGeneration": QWEN3_VL_MOE,
    "Qwen3OmniMoeForConditionalGeneration": QWEN3_OMNI_MOE,
    "Qwen3ASRForConditionalGeneration": QWEN3_ASR,
    "Qwen3_5ForCausalLM": QWEN3_5,
    "Qwen3_5ForConditionalGeneration": QWEN3_5,
    "Qwen3_5MoeForCausalLM": QWEN3_5_MOE,
    "Qwen3_5MoeForConditionalGeneration": QWEN3_5_MOE,
    "DeepseekV2ForCausalLM": DEEPSEEK2,
    "DeepseekV3ForCausalLM": DEEPSEEK2,
    "Olmo2ForCausalLM": OLMO2,
    "Olmo3ForCausalLM": OLMO2,
    "OlmoeForCausalLM": OLMOE,
    "Exaone4ForCausalLM": EXAONE4,
    "Starcoder2ForCausalLM": STARCODER2,
    "GPT2LMHeadModel": GPT2,
    "GPTNeoXForCausalLM": GPT_NEOX,
    "FalconForCausalLM": FALCON,
    "RWForCausalLM": FALCON,
    "StableLmForCausalLM": STABLELM,
    "StableLMEpochForCausalLM": STABLELM,
    "LlavaStableLMEpochForCausalLM": STABLELM,
    "InternLM2ForCausalLM": INTERNLM2,
    "MiniCPMForCausalLM": MINICPM,
    "Ernie4_5ForCausalLM": ERNIE4_5,
    "Ernie4_5_ForCausalLM": ERNIE4_5,
    "Ernie4_5_MoeForCausalLM": ERNIE4_5_MOE,
    "BaichuanForCausalLM": BAICHUAN,
    "BaiChuanForCausalLM": BAICHUAN,
    "Lfm2ForCausalLM": LFM2,
    "LFM2ForCausalLM": LFM2,
    "Lfm2MoeForCausalLM": LFM2_MOE,
    "FalconH1ForCausalLM": FALCON_H1,
    "GraniteForCausalLM": GRANITE,
    "GraniteMoeForCausalLM": GRANITE_MOE,
    "GraniteMoeSharedForCausalLM": GRANITE_MOE,
    "SmolLM3ForCausalLM": SMOLLM3,
    "ArceeForCausalLM": ARCEE,
    "SeedOssForCausalLM": SEED_OSS,
    "CohereForCausalLM": COHERE,
    "Cohere2ForCausalLM": COHERE2,
    "ApertusForCausalLM": APERTUS,
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma3ForConditionalGeneration": GEMMA3,
    "GptOssForCausalLM": GPT_OSS,
}

#: Classes without a head, from which embedding models are saved -> the class with the same decoder. The reference knows
#: those of Llama, Qwen2 and Qwen3; the others are written as it writes the same tensors under the class with a head.
BASE_CLASSES: Mapping[str, str] = {
    "LlamaModel": "LlamaForCausalLM",
    "MistralModel": "MistralForCausalLM",
    "MixtralModel": "MixtralForCausalLM",
    "Qwen2Model": "Qwen2ForCausalLM",
    "Qwen2VLModel": "Qwen2VLForConditionalGeneration",
    "Qwen2_5_VLModel": "Qwen2_5_VLForConditionalGeneration",
    "Qwen2MoeModel": "Qwen2MoeForCausalLM",
    "Qwen3Model": "Qwen3ForCausalLM",
    "Qwen3MoeModel": "Qwen3MoeForCausalLM",
    "Qwen3VLModel": "Qwen3VLForConditionalGeneration",
    "Qwen3VLMoeModel": "Qwen3VLMoeForConditionalGeneration",
    "Qwen3_5Model": "Qwen3_5ForConditionalGeneration",
    "Qwen3_5TextModel": "Qwen3_5ForCausalLM",
    "Qwen3_5MoeModel": "Qwen3_5MoeForConditionalGeneration",
    "Qwen3_5MoeTextModel": "Qwen3_5MoeForCausalLM",
    "DeepseekV2Model": "DeepseekV2ForCausalLM",
    "DeepseekV3Model": "DeepseekV3ForCausalLM",
    "GptOssModel": "GptOssForCausalLM",
}

#: `model_type` of config.json -> class, for configurations that lack `architectures`.
CLASSES_OF_TYPES: Mapping[str, str] = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2_audio": "Qwen2AudioForConditionalGeneration",
    "audioflamingo3": "AudioFlamingo3ForConditionalGeneration",
    "dots_ocr": "DotsOCRForCausalLM",
    "kormo": "KORMoForCausalLM",
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen2_5_omni": "Qwen2_5OmniModel",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeForConditionalGeneration",
    "qwen3_asr": "Qwen3ASRForConditionalGeneration",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "qwen3_5_moe": "Qwen3_5MoeForConditionalGeneration",
    "qwen3_5_moe_text": "Qwen3_5MoeForCausalLM",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "gemma3": "Gemma3ForConditionalGeneration",
    "gemma3_text": "Gemma3ForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
}
