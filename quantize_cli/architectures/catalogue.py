"""The facts by which users find their model: the classes that convert, and the models that are of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantize_cli.architectures.families.table import BASE_CLASSES, FAMILIES

#: Class in `architectures` of config.json -> models of it, as their makers call them.
MODELS: Mapping[str, str] = {
    "ApertusForCausalLM": "Apertus",
    "ArceeForCausalLM": "Arcee AFM",
    "AudioFlamingo3ForConditionalGeneration": "Audio Flamingo 3",
    "BaiChuanForCausalLM": "Baichuan 1 and 2",
    "BaichuanForCausalLM": "Baichuan 1 and 2",
    "BailingMoeForCausalLM": "Ling 1",
    "BailingMoeV2ForCausalLM": "Ling 2, Ring 2",
    "BambaForCausalLM": "Bamba",
    "ChatGLMForConditionalGeneration": "ChatGLM 3, GLM 4 9B (2024)",
    "ChatGLMModel": "ChatGLM 3, GLM 4 9B (2024)",
    "Cohere2ForCausalLM": "Command R7B, Command A, Aya (Cohere 2)",
    "CohereForCausalLM": "Command R, Aya 23 (Cohere)",
    "DeepseekOCRForCausalLM": "DeepSeek OCR",
    "DeepseekV2ForCausalLM": "DeepSeek V2, V2.5, Coder V2",
    "DeepseekV32ForCausalLM": "DeepSeek V3.2",
    "DeepseekV3ForCausalLM": "DeepSeek V3, V3.1, R1; Kimi K2; Moonlight",
    "DotsOCRForCausalLM": "dots.ocr",
    "Ernie4_5ForCausalLM": "Ernie 4.5",
    "Ernie4_5_ForCausalLM": "Ernie 4.5",
    "Ernie4_5_MoeForCausalLM": "Ernie 4.5 MoE",
    "Exaone4ForCausalLM": "Exaone 4",
    "ExaoneForCausalLM": "Exaone 3",
    "FalconForCausalLM": "Falcon",
    "FalconH1ForCausalLM": "Falcon H1",
    "FalconMambaForCausalLM": "Falcon Mamba",
    "GPT2LMHeadModel": "GPT-2",
    "GPTBigCodeForCausalLM": "StarCoder, SantaCoder",
    "GPTNeoXForCausalLM": "GPT-NeoX, Pythia, RedPajama",
    "Gemma2ForCausalLM": "Gemma 2",
    "Gemma3ForCausalLM": "Gemma 3",
    "Gemma3ForConditionalGeneration": "Gemma 3",
    "Gemma3TextModel": "EmbeddingGemma",
    "Gemma3nForCausalLM": "Gemma 3n",
    "Gemma3nForConditionalGeneration": "Gemma 3n",
    "Gemma4ForCausalLM": "Gemma 4",
    "Gemma4ForConditionalGeneration": "Gemma 4",
    "Gemma4UnifiedForConditionalGeneration": "Gemma 4",
    "GemmaForCausalLM": "Gemma 1",
    "Glm4ForCausalLM": "GLM 4",
    "Glm4MoeForCausalLM": "GLM 4.5, 4.6, 4.7",
    "Glm4MoeLiteForCausalLM": "GLM 4.7 Flash",
    "Glm4vForConditionalGeneration": "GLM 4.1V",
    "Glm4vMoeForConditionalGeneration": "GLM 4.5V, 4.6V",
    "Glm5NextForConditionalGeneration": "GLM 5 Next",
    "GlmForCausalLM": "GLM 4 9B, GLM Edge",
    "GlmMoeDsaForCausalLM": "GLM 5",
    "GptOssForCausalLM": "gpt-oss",
    "GraniteForCausalLM": "Granite 3",
    "GraniteMoeForCausalLM": "Granite 3 MoE",
    "GraniteMoeHybridForCausalLM": "Granite 4",
    "GraniteMoeSharedForCausalLM": "Granite 3 MoE with shared experts",
    "HunYuanDenseV1ForCausalLM": "Hunyuan, dense",
    "HunYuanMoEV1ForCausalLM": "Hunyuan A13B",
    "HunYuanVLForConditionalGeneration": "Hunyuan OCR",
    "IQuestCoderForCausalLM": "IQuest Coder",
    "InternLM2ForCausalLM": "InternLM 2 and 2.5",
    "InternLM3ForCausalLM": "InternLM 3",
    "JambaForCausalLM": "Jamba",
    "KORMoForCausalLM": "KORMo",
    "KimiK25ForConditionalGeneration": "Kimi K2.5",
    "KimiLinearForCausalLM": "Kimi Linear",
    "KimiLinearModel": "Kimi Linear",
    "KimiVLForConditionalGeneration": "Kimi VL",
    "LFM2ForCausalLM": "LFM2",
    "LLaMAForCausalLM": "Llama 1",
    "Lfm2ForCausalLM": "LFM2",
    "Lfm2MoeForCausalLM": "LFM2 MoE",
    "Llama4ForCausalLM": "Llama 4",
    "Llama4ForConditionalGeneration": "Llama 4",
    "LlamaForCausalLM": "Llama 1 to 3.x, TinyLlama, SmolLM 1 and 2, Yi, Vicuna and many more",
    "LlavaForConditionalGeneration": "LLaVA 1.5, Pixtral",
    "LlavaStableLMEpochForCausalLM": "StableLM",
    "Mamba2ForCausalLM": "Mamba 2, Codestral Mamba",
    "MambaForCausalLM": "Mamba",
    "MambaLMHeadModel": "Mamba",
    "MiniCPM3ForCausalLM": "MiniCPM 3",
    "MiniCPMForCausalLM": "MiniCPM 1 and 2",
    "MiniCPMV4_6ForConditionalGeneration": "MiniCPM-V 4.6",
    "MiniMaxM2ForCausalLM": "MiniMax M2",
    "MiniMaxM3SparseForCausalLM": "MiniMax M3",
    "MiniMaxM3SparseForConditionalGeneration": "MiniMax M3",
    "Ministral3ForCausalLM": "Ministral 3",
    "Mistral3ForConditionalGeneration": "Mistral Small 3.1 and 3.2, Ministral 3, Devstral",
    "Mistral4ForCausalLM": "Mistral 4",
    "MistralForCausalLM": "Mistral, Mistral Nemo, Zephyr",
    "MixtralForCausalLM": "Mixtral",
    "NemotronHForCausalLM": "Nemotron H, Nemotron Nano 2 and 3",
    "Olmo2ForCausalLM": "OLMo 2",
    "Olmo3ForCausalLM": "OLMo 3",
    "OlmoForCausalLM": "OLMo 1",
    "OlmoeForCausalLM": "OLMoE",
    "Phi3ForCausalLM": "Phi 3, 3.5, 4 and 4 mini",
    "Phi4ForCausalLMV": "Phi 4 with vision",
    "PhiForCausalLM": "Phi 1, 1.5 and 2",
    "PhiMoEForCausalLM": "Phi 3.5 MoE",
    "Qwen2AudioForConditionalGeneration": "Qwen 2 Audio",
    "Qwen2ForCausalLM": "Qwen 1.5, 2, 2.5, QwQ",
    "Qwen2MoeForCausalLM": "Qwen 1.5 MoE, Qwen 2 MoE",
    "Qwen2VLForConditionalGeneration": "Qwen 2 VL",
    "Qwen2VLModel": "Qwen 2 VL",
    "Qwen2_5OmniForConditionalGeneration": "Qwen 2.5 Omni",
    "Qwen2_5OmniModel": "Qwen 2.5 Omni",
    "Qwen2_5_VLForConditionalGeneration": "Qwen 2.5 VL",
    "Qwen3ASRForConditionalGeneration": "Qwen 3 ASR",
    "Qwen3ForCausalLM": "Qwen 3",
    "Qwen3MoeForCausalLM": "Qwen 3 MoE, Qwen 3 Coder",
    "Qwen3NextForCausalLM": "Qwen 3 Next, Qwen 3 Coder Next",
    "Qwen3OmniMoeForConditionalGeneration": "Qwen 3 Omni",
    "Qwen3VLForConditionalGeneration": "Qwen 3 VL",
    "Qwen3VLMoeForConditionalGeneration": "Qwen 3 VL MoE",
    "Qwen3_5ForCausalLM": "Qwen 3.5, 3.6, 3.8",
    "Qwen3_5ForConditionalGeneration": "Qwen 3.5, 3.6, 3.8",
    "Qwen3_5MoeForCausalLM": "Qwen 3.5, 3.6, 3.8 MoE",
    "Qwen3_5MoeForConditionalGeneration": "Qwen 3.5, 3.6, 3.8 MoE",
    "Qwen4ExpForCausalLM": "Qwen 3.8 Flash Next",
    "Qwen4ExpForConditionalGeneration": "Qwen 3.8 Flash Next",
    "RWForCausalLM": "Falcon",
    "SeedOssForCausalLM": "Seed-OSS",
    "SmolLM3ForCausalLM": "SmolLM 3",
    "SmolVLMForConditionalGeneration": "SmolVLM",
    "StableLMEpochForCausalLM": "StableLM",
    "StableLmForCausalLM": "StableLM",
    "Starcoder2ForCausalLM": "StarCoder 2",
    "UnlimitedOCRForCausalLM": "Unlimited OCR",
    "VLlama3ForCausalLM": "VideoLLaMA 3",
    "VoxtralForConditionalGeneration": "Voxtral",
    "YoutuForCausalLM": "Youtu-LLM",
    "YoutuVLForConditionalGeneration": "Youtu-VL",
}


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """One class that converts."""

    class_name: str  #: in `architectures` of config.json
    architecture: str  #: GGUF name
    models: str
    base_classes: tuple[str, ...]  #: classes without a head that convert like it


def catalogue() -> list[ArchitectureFacts]:
    """List every class that converts, by the names of its models."""
    facts = [
        ArchitectureFacts(
            class_name,
            family.architecture,
            MODELS[class_name],
            tuple(base for base, whole in BASE_CLASSES.items() if whole == class_name),
        )
        for class_name, family in FAMILIES.items()
    ]
    return sorted(facts, key=lambda held: (held.models.lower(), held.class_name))
