"""Checkpoint folders whose vocabularies are stored as ranks or in files of the package mistral-common.

`tekken.json` in `data/` is a cut of a real one. The ranks of the other cases are the same tokens in tiktoken's form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import copy
from typing import Any

from tokenizer_cases import SHAPE

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "ranks"
TEKKEN = HERE / "data" / "tekken.json"

_COMMON = {**SHAPE, "bos_token_id": 1, "eos_token_id": 2}
_DEEPSEEK = {
    **SHAPE,
    "vocab_size": 1300,
    "bos_token_id": 1024,
    "eos_token_id": 1026,
    "pad_token_id": 1027,
    "kv_lora_rank": 64,
    "q_lora_rank": None,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 64,
    "v_head_dim": 64,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.0,
}
_KIMI = {
    "added_tokens_decoder": {
        "1024": {"content": "[BOS]", "special": True},
        "1025": {"content": "[EOS]", "special": True},
        "1026": {"content": "<|im_end|>", "special": True},
        "1029": {"content": "<think>", "special": False},
    },
    "bos_token": "[BOS]",
    "eos_token": "[EOS]",
    "chat_template": "{{ messages }}",
    "tokenizer_class": "TikTokenTokenizer",
}
_KIMI_LINEAR = {
    **_DEEPSEEK,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "num_shared_experts": 1,
    "moe_renormalize": True,
    "linear_attn_config": {
        "full_attn_layers": [2],
        "kda_layers": [1],
        "num_heads": 4,
        "head_dim": 64,
        "short_conv_kernel_size": 4,
    },
}
_HUNYUAN = {
    **SHAPE,
    "vocab_size": 1232,
    "bos_token_id": 1,
    "eos_token_id": 1027,
    "pad_token_id": 1028,
    "moe_intermediate_size": [128, 128],
    "moe_topk": [2, 2],
    "num_shared_expert": [1, 1],
    "num_experts": 4,
}


@dataclass(frozen=True)
class Case:
    """One checkpoint folder."""

    name: str
    architecture: str
    config: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)  #: name -> what `make` writes there
    tokenizer_config: dict[str, Any] = field(default_factory=dict)

    @property
    def from_package(self) -> bool:
        """Whether the case needs mistral-common."""
        return any("package" in content for content in self.files.values())

    def make(self, parent: Path) -> Path:
        """Make the folder in `parent`."""
        folder = parent / self.name
        folder.mkdir()
        model_type = self.architecture.removesuffix("ForCausalLM").lower()
        config = {"architectures": [self.architecture], "model_type": model_type, **self.config}
        (folder / "config.json").write_text(json.dumps(config))
        for name, content in self.files.items():
            _write(folder / name, content)
        if self.tokenizer_config:
            (folder / "tokenizer_config.json").write_text(json.dumps(self.tokenizer_config))
        return folder


def _write(path: Path, content: str) -> None:
    if content.startswith("package:"):
        copy(package_data() / content.removeprefix("package:"), path)
    elif content.startswith("ranks"):
        entries = ranks(None if content == "ranks" else package_data())
        path.write_text("".join(f"{entry['token_bytes']} {entry['rank']}\n" for entry in entries))
    else:
        path.write_text(json.dumps(tekken(content)))


def ranks(package: Path | None) -> list[dict[str, Any]]:
    """The tokens of the cut tekken.json, or of the whole one in the package, without special ones."""
    if package is None:
        return list(json.loads(TEKKEN.read_text())["vocab"][:1024])
    return list(json.loads((package / "tekken_240911.json").read_text())["vocab"])


def tekken(version: str) -> dict[str, Any]:
    """The cut tekken.json as another version of the format, the newer of which list their special tokens."""
    content: dict[str, Any] = json.loads(TEKKEN.read_text())
    content["config"]["version"] = version
    if version not in ("v1", "v3"):
        texts = ["<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"]
        texts += ["[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
        texts += ["[TOOL_CONTENT]", "[CALL_ID]", "[ARGS]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]"]
        texts += ["[MIDDLE]", "[SUFFIX]", "[THINK]"]
        content["special_tokens"] = [{"rank": i, "token_str": text, "is_control": True} for i, text in enumerate(texts)]
    return content


def package_data() -> Path:
    """The folder of tokenizers in mistral-common, which `make test-slow` installs; it is not imported."""
    spec = find_spec("mistral_common")
    assert spec is not None, "pip install --no-deps mistral-common==1.13.1"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"


def _package(name: str, file: str, to: str, rows: int) -> Case:
    return Case(name, "LlamaForCausalLM", {**_COMMON, "vocab_size": rows}, {to: f"package:{file}"})


_SPM = "mistral_instruct_tokenizer"
CASES = (
    Case("tekken", "LlamaForCausalLM", {**_COMMON, "vocab_size": 1048}, {"tekken.json": "v3"}),
    Case(
        "tekken-v7",
        "LlamaForCausalLM",
        {**_COMMON, "vocab_size": 1048},
        {"tekken.json": "v7"},
        {"add_prefix_space": True, "chat_template": "{{ not_this }}"},
    ),
    Case("kimi", "DeepseekV3ForCausalLM", _DEEPSEEK, {"tiktoken.model": "ranks"}, _KIMI),
    Case("kimi-linear", "KimiLinearForCausalLM", _KIMI_LINEAR, {"tiktoken.model": "ranks"}, _KIMI),
    Case(
        "hunyuan-moe",
        "HunYuanMoEV1ForCausalLM",
        _HUNYUAN,
        {"hy.tiktoken": "ranks"},
        {"tokenizer_class": "HYTokenizer", "chat_template": "{{ messages }}"},
    ),
    Case(
        "kimi-whole",
        "DeepseekV3ForCausalLM",
        {**_DEEPSEEK, "vocab_size": 150256},
        {"tiktoken.model": "ranks of the package"},
        {**_KIMI, "added_tokens_decoder": {"150000": {"content": "[BOS]"}, "150001": {"content": "[EOS]"}}},
    ),
    Case(
        "hunyuan-whole",
        "HunYuanMoEV1ForCausalLM",
        {**_HUNYUAN, "vocab_size": 150210},
        {"hy.tiktoken": "ranks of the package"},
        {"tokenizer_class": "HYTokenizer"},
    ),
    _package("tekken_240718", "tekken_240718.json", "tekken.json", 131072),
    _package("tekken_240911", "tekken_240911.json", "tekken.json", 131072),
    _package("spm-v1", "tokenizer.model.v1", "tokenizer.model", 32000),
    _package("spm-v2", f"{_SPM}_240216.model.v2", "tokenizer.model", 32768),
    _package("spm-v3", f"{_SPM}_240323.model.v3", "tokenizer.model", 32768),
    _package("spm-v7", f"{_SPM}_241114.model.v7", "tokenizer.model", 32768),
    _package("spm-v7m1", f"{_SPM}_241114.model.v7m1", "tokenizer.model", 32768),
)
