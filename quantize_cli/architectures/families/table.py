"""The table of families: `architectures` of config.json -> family."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.families.afmoe import AFMOE
from quantize_cli.architectures.families.apertus import APERTUS
from quantize_cli.architectures.families.arcee import ARCEE
from quantize_cli.architectures.families.baichuan import BAICHUAN
from quantize_cli.architectures.families.bailing import BAILING_MOE_2
from quantize_cli.architectures.families.chatglm import CHATGLM
from quantize_cli.architectures.families.cohere import COHERE, COHERE2
from quantize_cli.architectures.families.deepseek import DEEPSEEK2, GLM4_MOE_LITE
from quantize_cli.architectures.families.deepseek_ocr import DEEPSEEK2_OCR
from quantize_cli.architectures.families.dots1 import DOTS1
from quantize_cli.architectures.families.embedding_gemma import EMBEDDING_GEMMA
from quantize_cli.architectures.families.ernie4_5 import ERNIE4_5, ERNIE4_5_MOE, PADDLE_OCR
from quantize_cli.architectures.families.exaone import EXAONE
from quantize_cli.architectures.families.exaone4 import EXAONE4, EXAONE4_5
from quantize_cli.architectures.families.exaone_moe import EXAONE_MOE
from quantize_cli.architectures.families.falcon import FALCON
from quantize_cli.architectures.families.falcon_h1 import FALCON_H1
from quantize_cli.architectures.families.gemma import GEMMA, GEMMA2
from quantize_cli.architectures.families.gemma3 import GEMMA3
from quantize_cli.architectures.families.gemma3n import GEMMA3N
from quantize_cli.architectures.families.gemma4 import GEMMA4
from quantize_cli.architectures.families.gemma4_unified import GEMMA4_UNIFIED
from quantize_cli.architectures.families.glm import GLM4, GLM4_MOE, GLM_OCR, SOLAR_OPEN
from quantize_cli.architectures.families.glm5_next import GLM5_NEXT
from quantize_cli.architectures.families.gpt2 import GPT2
from quantize_cli.architectures.families.gpt_neox import GPT_NEOX
from quantize_cli.architectures.families.gpt_oss import GPT_OSS
from quantize_cli.architectures.families.granite import GRANITE, GRANITE_MOE
from quantize_cli.architectures.families.granite_hybrid import GRANITE_HYBRID
from quantize_cli.architectures.families.hunyuan import HUNYUAN_DENSE, HUNYUAN_MOE
from quantize_cli.architectures.families.hunyuan3 import HUNYUAN3
from quantize_cli.architectures.families.hunyuan_vl import HUNYUAN_VL
from quantize_cli.architectures.families.internlm2 import INTERNLM2
from quantize_cli.architectures.families.internlm3 import INTERNLM3
from quantize_cli.architectures.families.jais2 import JAIS2
from quantize_cli.architectures.families.jamba import JAMBA
from quantize_cli.architectures.families.kimi_linear import KIMI_LINEAR
from quantize_cli.architectures.families.lfm2 import LFM2, LFM2_MOE
from quantize_cli.architectures.families.llama import LLAMA, LLAMA_EMBED
from quantize_cli.architectures.families.llama4 import LLAMA4
from quantize_cli.architectures.families.mamba import MAMBA1, MAMBA_2
from quantize_cli.architectures.families.mellum import MELLUM
from quantize_cli.architectures.families.minicpm import MINICPM
from quantize_cli.architectures.families.minicpm3 import MINICPM3
from quantize_cli.architectures.families.minimax_m2 import MINIMAX_M2
from quantize_cli.architectures.families.minimax_m3 import MINIMAX_M3
from quantize_cli.architectures.families.mistral3 import MISTRAL3
from quantize_cli.architectures.families.nemotron import NEMOTRON_4
from quantize_cli.architectures.families.nemotron_h_moe import NEMOTRON
from quantize_cli.architectures.families.olmo import OLMO, OLMO2, OLMOE
from quantize_cli.architectures.families.phi2 import PHI2
from quantize_cli.architectures.families.phi3 import PHI3, PHIMOE
from quantize_cli.architectures.families.qwen2 import KORMO, QWEN2
from quantize_cli.architectures.families.qwen2_moe import QWEN2_MOE
from quantize_cli.architectures.families.qwen2_vl import QWEN2_VL
from quantize_cli.architectures.families.qwen3 import QWEN3, QWEN3_MOE
from quantize_cli.architectures.families.qwen3_5 import MINICPM_V, QWEN3_5, QWEN3_5_MOE
from quantize_cli.architectures.families.qwen3_next import QWEN3_NEXT
from quantize_cli.architectures.families.qwen3_vl import QWEN3_ASR, QWEN3_OMNI_MOE, QWEN3_VL, QWEN3_VL_MOE
from quantize_cli.architectures.families.qwen4_exp import QWEN4_EXP
from quantize_cli.architectures.families.seed_oss import SEED_OSS
from quantize_cli.architectures.families.smollm3 import SMOLLM3
from quantize_cli.architectures.families.sparse_attention import DEEPSEEK32, GLM_DSA
from quantize_cli.architectures.families.stablelm import STABLELM
from quantize_cli.architectures.families.starcoder import STARCODER
from quantize_cli.architectures.families.starcoder2 import STARCODER2
from quantize_cli.architectures.family import Family

FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "MixtralForCausalLM": LLAMA,
    "LLaMAForCausalLM": LLAMA,
    "IQuestCoderForCausalLM": LLAMA,
    "LlavaForConditionalGeneration": LLAMA,
    "VoxtralForConditionalGeneration": LLAMA,
    "VLlama3ForCausalLM": LLAMA,
    "LlamaBidirectionalModel": LLAMA_EMBED,
    "InternLM3ForCausalLM": INTERNLM3,
    "Llama4ForCausalLM": LLAMA4,
    "Llama4ForConditionalGeneration": LLAMA4,
    "Mistral3ForConditionalGeneration": MISTRAL3,
    "Ministral3ForCausalLM": MISTRAL3,
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
    "Qwen3NextForCausalLM": QWEN3_NEXT,
    "Qwen3VLForConditionalGeneration": QWEN3_VL,
    "Qwen3VLMoeForConditionalGeneration": QWEN3_VL_MOE,
    "Qwen3OmniMoeForConditionalGeneration": QWEN3_OMNI_MOE,
    "Qwen3ASRForConditionalGeneration": QWEN3_ASR,
    "Qwen3_5ForCausalLM": QWEN3_5,
    "Qwen3_5ForConditionalGeneration": QWEN3_5,
    "Qwen3_5MoeForCausalLM": QWEN3_5_MOE,
    "Qwen3_5MoeForConditionalGeneration": QWEN3_5_MOE,
    "MiniCPMV4_6ForConditionalGeneration": MINICPM_V,
    "Qwen4ExpForCausalLM": QWEN4_EXP,
    "Qwen4ExpForConditionalGeneration": QWEN4_EXP,
    "MambaForCausalLM": MAMBA1,
    "MambaLMHeadModel": MAMBA1,
    "FalconMambaForCausalLM": MAMBA1,
    "Mamba2ForCausalLM": MAMBA_2,
    "DeepseekV2ForCausalLM": DEEPSEEK2,
    "DeepseekV3ForCausalLM": DEEPSEEK2,
    "KimiVLForConditionalGeneration": DEEPSEEK2,
    "YoutuForCausalLM": DEEPSEEK2,
    "YoutuVLForConditionalGeneration": DEEPSEEK2,
    "DeepseekOCRForCausalLM": DEEPSEEK2_OCR,
    "KimiLinearForCausalLM": KIMI_LINEAR,
    "UnlimitedOCRForCausalLM": DEEPSEEK2_OCR,
    "GemmaForCausalLM": GEMMA,
    "Gemma2ForCausalLM": GEMMA2,
    "KimiK25ForConditionalGeneration": DEEPSEEK2,
    "Glm4MoeLiteForCausalLM": GLM4_MOE_LITE,
    "GlmMoeDsaForCausalLM": GLM_DSA,
    "Glm5NextForConditionalGeneration": GLM5_NEXT,
    "Glm4ForCausalLM": GLM4,
    "Glm4vForConditionalGeneration": GLM4,
    "GlmOcrForConditionalGeneration": GLM_OCR,
    "GlmForCausalLM": CHATGLM,
    "ChatGLMModel": CHATGLM,
    "ChatGLMForConditionalGeneration": CHATGLM,
    "Glm4MoeForCausalLM": GLM4_MOE,
    "SolarOpenForCausalLM": SOLAR_OPEN,
    "Glm4vMoeForConditionalGeneration": GLM4_MOE,
    "OlmoForCausalLM": OLMO,
    "OLMoForCausalLM": OLMO,
    "ExaoneForCausalLM": EXAONE,
    "NemotronForCausalLM": NEMOTRON_4,
    "Jais2ForCausalLM": JAIS2,
    "GPTBigCodeForCausalLM": STARCODER,
    "Dots1ForCausalLM": DOTS1,
    "MellumForCausalLM": MELLUM,
    "AfmoeForCausalLM": AFMOE,
    "HYV3ForCausalLM": HUNYUAN3,
    "ExaoneMoEForCausalLM": EXAONE_MOE,
    "ExaoneMoeForCausalLM": EXAONE_MOE,
    "JambaForCausalLM": JAMBA,
    "Olmo2ForCausalLM": OLMO2,
    "Olmo3ForCausalLM": OLMO2,
    "OlmoeForCausalLM": OLMOE,
    "Exaone4ForCausalLM": EXAONE4,
    "Exaone4_5_ForConditionalGeneration": EXAONE4_5,
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
    "MiniCPM3ForCausalLM": MINICPM3,
    "Ernie4_5ForCausalLM": ERNIE4_5,
    "Ernie4_5_ForCausalLM": ERNIE4_5,
    "Ernie4_5_MoeForCausalLM": ERNIE4_5_MOE,
    "PaddleOCRVLForConditionalGeneration": PADDLE_OCR,
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
    "Gemma3TextModel": EMBEDDING_GEMMA,
    "Gemma3nForCausalLM": GEMMA3N,
    "Gemma3nForConditionalGeneration": GEMMA3N,
    "Gemma4ForCausalLM": GEMMA4,
    "Gemma4ForConditionalGeneration": GEMMA4,
    "Gemma4UnifiedForConditionalGeneration": GEMMA4_UNIFIED,
    "GptOssForCausalLM": GPT_OSS,
    "PhiForCausalLM": PHI2,
    "Phi3ForCausalLM": PHI3,
    "Phi4ForCausalLMV": PHI3,
    "PhiMoEForCausalLM": PHIMOE,
    "HunYuanDenseV1ForCausalLM": HUNYUAN_DENSE,
    "HunYuanVLForConditionalGeneration": HUNYUAN_VL,
    "HunYuanMoEV1ForCausalLM": HUNYUAN_MOE,
    "GraniteMoeHybridForCausalLM": GRANITE_HYBRID,
    "BambaForCausalLM": GRANITE_HYBRID,
    "NemotronHForCausalLM": NEMOTRON,
    "DeepseekV32ForCausalLM": DEEPSEEK32,
    "BailingMoeV2ForCausalLM": BAILING_MOE_2,
    "MiniMaxM2ForCausalLM": MINIMAX_M2,
    "MiniMaxM3SparseForCausalLM": MINIMAX_M3,
    "MiniMaxM3SparseForConditionalGeneration": MINIMAX_M3,
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
    "Qwen3NextModel": "Qwen3NextForCausalLM",
    "Qwen3VLModel": "Qwen3VLForConditionalGeneration",
    "Qwen3VLMoeModel": "Qwen3VLMoeForConditionalGeneration",
    "Qwen3_5Model": "Qwen3_5ForConditionalGeneration",
    "Qwen3_5TextModel": "Qwen3_5ForCausalLM",
    "Qwen3_5MoeModel": "Qwen3_5MoeForConditionalGeneration",
    "Qwen3_5MoeTextModel": "Qwen3_5MoeForCausalLM",
    "Qwen4ExpModel": "Qwen4ExpForConditionalGeneration",
    "Qwen4ExpTextModel": "Qwen4ExpForCausalLM",
    "KimiLinearModel": "KimiLinearForCausalLM",
    "DeepseekV2Model": "DeepseekV2ForCausalLM",
    "DeepseekV3Model": "DeepseekV3ForCausalLM",
    "GptOssModel": "GptOssForCausalLM",
    "PhiModel": "PhiForCausalLM",
    "Phi3Model": "Phi3ForCausalLM",
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
    "qwen3_next": "Qwen3NextForCausalLM",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeForConditionalGeneration",
    "qwen3_asr": "Qwen3ASRForConditionalGeneration",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "qwen3_5_moe": "Qwen3_5MoeForConditionalGeneration",
    "qwen3_5_moe_text": "Qwen3_5MoeForCausalLM",
    "qwen4_exp": "Qwen4ExpForConditionalGeneration",
    "qwen4_exp_text": "Qwen4ExpForCausalLM",
    "mamba": "MambaForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "kimi_linear": "KimiLinearForCausalLM",
    "kimi_vl": "KimiVLForConditionalGeneration",
    "youtu": "YoutuForCausalLM",
    "youtu_vl": "YoutuVLForConditionalGeneration",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "kimi_k25": "KimiK25ForConditionalGeneration",
    "glm4_moe_lite": "Glm4MoeLiteForCausalLM",
    "glm5_next": "Glm5NextForConditionalGeneration",
    "glm_moe_dsa": "GlmMoeDsaForCausalLM",
    "glm": "GlmForCausalLM",
    "chatglm": "ChatGLMModel",
    "glm_ocr": "GlmOcrForConditionalGeneration",
    "glm4": "Glm4ForCausalLM",
    "glm4v": "Glm4vForConditionalGeneration",
    "glm4_moe": "Glm4MoeForCausalLM",
    "glm4v_moe": "Glm4vMoeForConditionalGeneration",
    "gemma3": "Gemma3ForConditionalGeneration",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma3n": "Gemma3nForConditionalGeneration",
    "gemma3n_text": "Gemma3nForCausalLM",
    "gemma4": "Gemma4ForConditionalGeneration",
    "gemma4_text": "Gemma4ForCausalLM",
    "gemma4_unified": "Gemma4UnifiedForConditionalGeneration",
    "gpt_oss": "GptOssForCausalLM",
    "phi": "PhiForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "phimoe": "PhiMoEForCausalLM",
    "minicpm3": "MiniCPM3ForCausalLM",
    "minicpmv4_6": "MiniCPMV4_6ForConditionalGeneration",
    "exaone4_5": "Exaone4_5_ForConditionalGeneration",
    "solar_open": "SolarOpenForCausalLM",
    "paddleocr_vl": "PaddleOCRVLForConditionalGeneration",
    "afmoe": "AfmoeForCausalLM",
    "hy_v3": "HYV3ForCausalLM",
    "exaone_moe": "ExaoneMoeForCausalLM",
    "jamba": "JambaForCausalLM",
    "olmo": "OlmoForCausalLM",
    "exaone": "ExaoneForCausalLM",
    "nemotron": "NemotronForCausalLM",
    "jais2": "Jais2ForCausalLM",
    "gpt_bigcode": "GPTBigCodeForCausalLM",
    "dots1": "Dots1ForCausalLM",
    "mellum": "MellumForCausalLM",
    "hunyuan_v1_dense": "HunYuanDenseV1ForCausalLM",
    "hunyuan_vl": "HunYuanVLForConditionalGeneration",
    "minimax_m2": "MiniMaxM2ForCausalLM",
    "minimax_m3_vl": "MiniMaxM3SparseForConditionalGeneration",
}
