"""Checkpoint folders without weights: real tokenizer files of shared/tokenizers beside a small config.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "golden"

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma3": "Gemma3ForConditionalGeneration",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_moe_text": "Qwen3_5MoeForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "internlm3": "InternLM3ForCausalLM",
    "minicpm": "MiniCPMForCausalLM",
    "minicpm3": "MiniCPM3ForCausalLM",
    "ernie4_5": "Ernie4_5ForCausalLM",
    "baichuan": "BaichuanForCausalLM",
    "granite": "GraniteForCausalLM",
    "apertus": "ApertusForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
    "chatglm": "ChatGLMModel",
    "gemma4_text": "Gemma4ForCausalLM",
    "mamba": "MambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "nemotron_h": "NemotronHForCausalLM",
    "hunyuan_v1_dense": "HunYuanDenseV1ForCausalLM",
}
#: Classes whose language model has a config of its own -> its model_type.
NESTED = {"gemma3": "gemma3_text", "qwen3_5": "qwen3_5_text"}
#: The reference converter asks for these; no tokenizer key comes from them.
SHAPE = {
    "hidden_size": 256,
    "head_dim": 64,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "mtp_num_hidden_layers": 1,
    "scale_emb": 12,
    "scale_depth": 1.4,
    "dim_model_base": 256,
}
_MAMBA = {"layer_norm_epsilon": 1e-5, "state_size": 16, "conv_kernel": 4, "n_groups": 1, "expand": 2}
OWN_SHAPES: dict[str, dict[str, Any]] = {
    "gemma4_text": {
        "global_head_dim": 128,
        "layer_types": ["sliding_attention", "full_attention"],
        "num_kv_shared_layers": 0,
        "sliding_window": 512,
    },
    "mamba": {**_MAMBA, "intermediate_size": 512},
    "mamba2": {**_MAMBA, "intermediate_size": 512, "head_dim": 64, "num_heads": 8},
    "granitemoehybrid": {
        "attention_multiplier": 1.0,
        "embedding_multiplier": 1.0,
        "layer_types": ["mamba", "attention"],
        "logits_scaling": 1.0,
        "mamba_d_conv": 4,
        "mamba_d_head": 64,
        "mamba_d_state": 16,
        "mamba_expand": 2,
        "mamba_n_groups": 1,
        "mamba_n_heads": 8,
        "num_experts_per_tok": 2,
        "num_local_experts": 4,
        "residual_multiplier": 1.0,
        "shared_intermediate_size": 512,
    },
    "nemotron_h": {
        "expand": 2,
        "hybrid_override_pattern": "M*",
        "layer_norm_epsilon": 1e-5,
        "mamba_head_dim": 64,
        "mamba_num_heads": 8,
        "n_groups": 1,
        "ssm_state_size": 16,
        "conv_kernel": 4,
    },
}
#: Files of shared/tokenizers that are no tokenizer files.
OTHERS = ("config", "generation_config.json", "params.json", "model.safetensors.index.json", "tokenizer.model.v3")


@dataclass(frozen=True)
class Case:
    """One tokenizer in one family."""

    model_type: str
    tokenizer: str  #: folder in shared/tokenizers, or several with "+" between them
    vocab_size: int
    ids: dict[str, Any] = field(default_factory=dict)  #: special token ids of config.json
    suffix: str = ""
    renamed: dict[str, str] = field(default_factory=dict)  #: file -> its name in the checkpoint
    added: tuple[str, ...] = ()  #: texts of added tokens that the files get besides
    rows: int | None = None  #: of the embedding, where the reference pads vocab_size
    generation: dict[str, Any] = field(default_factory=dict)  #: generation_config.json
    slow: bool = False

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.model_type}-{self.tokenizer}{self.suffix}"

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        top = {"architectures": [ARCHITECTURES[self.model_type]], "model_type": self.model_type}
        language = {"vocab_size": self.vocab_size, **SHAPE, **OWN_SHAPES.get(self.model_type, {}), **self.ids}
        if self.model_type not in NESTED:
            return {**top, **language}
        return {**top, "text_config": {"model_type": NESTED[self.model_type], **language}}

    def make(self, parent: Path, tokenizers: Path) -> Path:
        """Make the folder in `parent` with links into `tokenizers`."""
        folder = parent / self.name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(self.config, indent=2))
        for source in (path for name in self.tokenizer.split("+") for path in (tokenizers / name).resolve().iterdir()):
            if source.name in self.renamed:
                copy(source, folder / self.renamed[source.name])
            elif not source.name.startswith(OTHERS):
                (folder / source.name).symlink_to(source)
        if self.generation:
            (folder / "generation_config.json").write_text(json.dumps(self.generation))
        self._add(folder)
        return folder

    def _add(self, folder: Path) -> None:
        """Add tokens behind the vocabulary; they are special unless their text looks so already."""
        if not self.added:
            return
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        start = 1 + max(*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"]))
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        new = [
            {"id": i, "content": text, **flags, "special": "|" not in text} for i, text in enumerate(self.added, start)
        ]
        tokenizer["added_tokens"] += new
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        decoder = {str(token["id"]): {key: token[key] for key in token if key != "id"} for token in new}
        settings.setdefault("added_tokens_decoder", {}).update(decoder)
        for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", settings)):
            (folder / name).unlink()
            (folder / name).write_text(json.dumps(content))


LLAMA_2 = {"bos_token_id": 1, "eos_token_id": 2}
LLAMA_3 = {"bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009]}
SMOLLM2 = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
DEEPSEEK = {"bos_token_id": 0, "eos_token_id": 1}
QWEN = {"bos_token_id": 151643, "eos_token_id": 151645}
GLM_ADDED = ("[gMASK]", "<|user|>", "<|observation|>")
TWO_ENDS = {"eos_token_id": [5, 2]}
MISTRAL_SPM = {"tokenizer.model.v3": "tokenizer.model"}

#: Llama 2's pieces beside JSON files of its fine-tunes; Phi-3's own tokenizer.model is Llama 2's.
MERLINITE = "llama2-spm+merlinite-7b-mistral-v0.1"
PHI3 = "llama2-spm+phi3-mini"

CASES = (
    Case("llama", "llama2", 32000, LLAMA_2),
    Case("llama", "llama2-spm", 32000, LLAMA_2),
    Case("llama", "llama2-spm", 32016, LLAMA_2, suffix="-codellama"),
    Case("llama", "llama3_1", 128256, LLAMA_3),
    Case("llama", "smollm2", 49152, SMOLLM2),
    Case("llama", "merlinite-7b-mistral-v0.1", 32008, LLAMA_2),
    Case("llama", "phi3-mini", 32064, {"bos_token_id": 1, "eos_token_id": 32000, "pad_token_id": 32000}),
    Case("llama", "deepseek_v3", 129280, DEEPSEEK),
    Case("llama", "granite-3.1-moe", 49155, {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}),
    Case("llama", "gpt2", 50257, {"bos_token_id": 50256, "eos_token_id": 50256}),
    Case("llama", "pythia-410m", 50304, {"bos_token_id": 0, "eos_token_id": 0}),
    Case("llama", "qwen3", 151936, QWEN, slow=True),
    Case("llama", "gptoss", 201088, {"eos_token_id": 200002, "pad_token_id": 199999}, slow=True),
    Case("llama", "gemma3", 262208, slow=True),
    Case("mistral", "mistral-7b-v0.3", 32768, LLAMA_2),
    Case("mistral", "mistral-7b-v0.3", 32768, LLAMA_2, suffix="-spm", renamed=MISTRAL_SPM),
    Case("mistral", "merlinite-7b-mistral-v0.1", 32008, LLAMA_2),
    Case("mistral", "llama3_1", 128256, LLAMA_3, slow=True),
    Case("mistral", "smollm2", 49152, SMOLLM2, slow=True),
    Case("qwen2", "qwen3", 151936, QWEN, slow=True),
    Case("qwen3", "qwen3", 151936, QWEN),
    Case("qwen3", "llama3_1", 128256, LLAMA_3, slow=True),
    Case("qwen3", "deepseek_v3", 129280, DEEPSEEK, slow=True),
    Case("mixtral", "mistral-7b-v0.3", 32768, LLAMA_2),
    Case("mixtral", "llama2-spm", 32000, LLAMA_2),
    Case("qwen2_moe", "qwen3", 151936, QWEN, slow=True),
    Case("qwen3_moe", "qwen3", 151936, QWEN),
    Case("deepseek_v2", "deepseek_v3", 129400, DEEPSEEK, slow=True),
    Case("deepseek_v3", "deepseek_v3", 129280, DEEPSEEK),
    Case("gemma3_text", MERLINITE, 32064, LLAMA_2),
    Case("gemma3_text", MERLINITE, 32003, LLAMA_2, suffix="-cut"),
    Case("gemma", MERLINITE, 32064, LLAMA_2),
    Case("gemma2", MERLINITE, 32064, LLAMA_2),
    Case("phi3", PHI3, 32064, {"bos_token_id": 1, "eos_token_id": 32000, "pad_token_id": 32000}),
    Case("phi3", "granite-3.1-moe", 49155, {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}),
    Case("internlm2", "mistral-7b-v0.3", 32768, LLAMA_2, renamed=MISTRAL_SPM),
    Case("internlm3", MERLINITE, 32064, LLAMA_2),
    Case("minicpm", "llama2-spm", 32000, LLAMA_2),
    Case("minicpm3", MERLINITE, 32064, LLAMA_2),
    Case("ernie4_5", MERLINITE, 32064, LLAMA_2),
    Case("ernie4_5", "mistral-7b-v0.3", 32768, LLAMA_2, renamed=MISTRAL_SPM),
    Case("baichuan", "llama2-spm", 32000, LLAMA_2),
    Case("granite", "granite-3.1-moe", 49155, {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}),
    Case("granite", "smollm2", 49152, SMOLLM2),
    Case("apertus", "mistral-7b-v0.3", 32768, LLAMA_2),
    Case("gemma3_text", "gemma3", 262208, slow=True),
    Case("gemma3", "gemma3", 262208, slow=True),
    Case("qwen3_5_text", "llama3_1", 128256, LLAMA_3),
    Case("qwen3_5", "qwen3", 151936, QWEN),
    Case("qwen3_5_moe_text", "qwen3", 152064, QWEN, slow=True),
    Case("glm4", "smollm2", 49160, added=GLM_ADDED),
    Case("glm4", "smollm2", 49160, SMOLLM2, suffix="-ids", added=GLM_ADDED),
    Case("glm4_moe", "smollm2", 49160, {"eos_token_id": [0, 49154]}, added=GLM_ADDED),
    Case("chatglm", "smollm2", 49160, {"eos_token_id": [0, 49154]}, added=GLM_ADDED),
    Case("gemma4_text", "mistral-7b-v0.3", 32772, LLAMA_2, added=("<|tool_call>", "<end>", "<x|>", '<|"|>')),
    Case("mamba", "pythia-410m", 50277, rows=50280),
    Case("mamba2", "pythia-410m", 50277, rows=50288),
    Case("granitemoehybrid", "granite-3.1-moe", 49155, rows=49160),
    Case("nemotron_h", "granite-3.1-moe", 49155, rows=49160),
    Case("hunyuan_v1_dense", "smollm2", 49152, {**SMOLLM2, "pad_token_id": -1, "eod_token_id": 7}, generation=TWO_ENDS),
    Case("gemma4_text", "gemma3", 262208, slow=True),
)
