"""Record what the reference converter makes of small checkpoints: one JSON beside this file for each case.

    PYTHONPATH=LLAMA_CPP:LLAMA_CPP/gguf-py python record.py CONFIGS

LLAMA_CPP is the reference's source folder, CONFIGS a folder of real config.json files (see PROVENANCE.md). The
checkpoints are header-only: real safetensors files whose weights are a hole, since nothing here depends on weights.
The tokenizer is left out: it has tests of its own.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from conversion import ModelBase, get_model_class

ITEM_BYTES = {"BF16": 2, "F16": 2, "F32": 4}

BASE = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **BASE}
MISTRAL = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", **BASE}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **BASE}
QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **BASE}

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
README = """---
license: other
license_name: llama-community
license_link: https://example.org/license
language:
- en
- no
tags: [chat, tiny]
pipeline_tag: text-generation
base_model: meta-llama/Llama-3.2-1B
datasets:
- HuggingFaceTB/smoltalk
- https://huggingface.co/datasets/org/data-2
model_creator: Somebody
---
# A model
"""

#: Real config.json -> name of the folder the model is published in. Layers are cut to 2.
REAL = {
    "mlc-codellama_13b": "CodeLlama-13b-hf",
    "mlc-codellama_34b": "CodeLlama-34b-Instruct-hf",
    "mlc-codellama_7b": "CodeLlama-7b-hf",
    "mlc-llama2_13b": "Llama-2-13b-hf",
    "mlc-llama2_70b": "Llama-2-70b-chat-hf",
    "mlc-llama2_7b": "Llama-2-7b-hf",
    "mlc-llama3_1_70b": "Meta-Llama-3.1-70B-Instruct",
    "mlc-llama3_1_8b": "Meta-Llama-3.1-8B-Instruct",
    "mlc-llama3_2_1b": "Llama-3.2-1B-Instruct",
    "mlc-llama3_2_3b": "Llama-3.2-3B",
    "mlc-mistral_7b": "Mistral-7B-Instruct-v0.2",
    "mlc-mistral_7b_v03": "Mistral-7B-Instruct-v0.3",
    "mlc-qwen2": "Qwen1.5-1.8B-Chat",
    "mlc-qwen2.5_3b": "Qwen2.5-3B-Instruct",
    "mlc-qwen2_0_5b": "Qwen2-0.5B",
    "mlc-qwen2_1_5b": "Qwen2-1.5B-Instruct",
    "mlc-qwen2_7b": "Qwen2-7B-Instruct",
    "mlc-qwen3_0.6b": "Qwen3-0.6B",
    "mlc-qwen3_1.7b": "Qwen3-1.7B",
    "mlc-smollm2_135m": "SmolLM2-135M-Instruct",
    "mlc-smollm2_360m": "SmolLM2-360M",
    "mlc-smollm_135m": "SmolLM-135M",
    "mlc-smollm_1_7b": "SmolLM-1.7B-Instruct",
    "mlc-smollm_360m": "SmolLM-360M",
    "mlc-tinyllama_1b_chat_v0.4": "TinyLlama-1.1B-Chat-v0.4",
    "mlc-tinyllama_1b_chat_v1.0": "TinyLlama-1.1B-Chat-v1.0",
}


def infos(config: dict[str, Any], extra: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Name -> [dtype, shape, file] of every tensor, as transformers saves the four families."""
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = config.get("head_dim") or (128 if config["architectures"][0][:5] == "Qwen3" else 0)
    head = head or hidden // config["num_attention_heads"]
    query, key = (
        config["num_attention_heads"] * head,
        (config.get("num_key_value_heads") or config["num_attention_heads"]) * head,
    )
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    shapes |= {} if config.get("tie_word_embeddings") else {"lm_head.weight": [vocab, hidden]}
    layer = {
        "input_layernorm.weight": [hidden],
        "post_attention_layernorm.weight": [hidden],
        "self_attn.q_proj.weight": [query, hidden],
        "self_attn.k_proj.weight": [key, hidden],
        "self_attn.v_proj.weight": [key, hidden],
        "self_attn.o_proj.weight": [hidden, query],
        "mlp.gate_proj.weight": [ffn, hidden],
        "mlp.up_proj.weight": [ffn, hidden],
        "mlp.down_proj.weight": [hidden, ffn],
    }
    known = {
        "self_attn.q_proj.bias": [query],
        "self_attn.k_proj.bias": [key],
        "self_attn.v_proj.bias": [key],
        "self_attn.o_proj.bias": [hidden],
        "mlp.gate_proj.bias": [ffn],
        "mlp.up_proj.bias": [ffn],
        "mlp.down_proj.bias": [hidden],
        "self_attn.q_norm.weight": [head],
        "self_attn.k_norm.weight": [head],
        "self_attn.rotary_emb.inv_freq": [head // 2],
    }
    qkv = tuple(f"self_attn.{part}_proj.bias" for part in "qkv")
    more = {"Qwen2": qkv, "Qwen3": ("self_attn.q_norm.weight", "self_attn.k_norm.weight")}
    layer |= {name: known[name] for name in (*more.get(config["architectures"][0][:5], ()), *extra)}
    for number in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
    return {name: ["BF16", shapes[name], "model.safetensors"] for name in sorted(shapes) if name not in without}


def case(name: str, config: dict[str, Any], tensors: dict[str, Any] | None = None, **files: Any) -> dict[str, Any]:
    """One checkpoint: the folder's name, its small files and its tensors."""
    return {"name": name, "files": {"config.json": config, **files}, "tensors": tensors or infos(config)}


def cases(configs: Path) -> dict[str, dict[str, Any]]:
    """File stem of the golden JSON -> checkpoint."""
    qkv_bias = tuple(f"self_attn.{part}_proj.bias" for part in "qkv")
    all_bias = (*qkv_bias, "self_attn.o_proj.bias", *(f"mlp.{part}_proj.bias" for part in ("gate", "up", "down")))
    tied = {**LLAMA, "tie_word_embeddings": True}
    biased = {**LLAMA, "attention_bias": True, "mlp_bias": True}
    few = {key: LLAMA[key] for key in ("architectures", "model_type", "num_hidden_layers")}
    few_qwen3 = {key: QWEN3[key] for key in ("architectures", "model_type", "num_hidden_layers")}
    few_mistral = {key: MISTRAL[key] for key in ("architectures", "model_type", "num_hidden_layers")}
    few_qwen2 = {key: QWEN2[key] for key in ("architectures", "model_type", "num_hidden_layers")}
    full = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32}
    full_qwen = {**full, "vocab_size": 151936, "intermediate_size": 22016}
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    mixed = infos(LLAMA)
    for number, (tensor, record) in enumerate(mixed.items()):
        mixed[tensor] = [
            ("BF16", "F16", "F32")[number % 3],
            record[1],
            f"model-0000{1 + number % 2}-of-00002.safetensors",
        ]
    mixed = dict(sorted(mixed.items(), key=lambda item: (item[1][2], item[0])))
    bare = {
        name.removeprefix("model."): record for name, record in infos({**QWEN3, "tie_word_embeddings": True}).items()
    }
    modules = [{"idx": 0, "path": "", "type": "a.Transformer"}, {"idx": 1, "path": "1_Pooling", "type": "a.Pooling"}]
    found = {
        "llama-untied": case("tiny-llama", LLAMA),
        "llama-tied": case("TinyTied-1M-Chat-v2", tied),
        "llama-tied-but-stored": case("tied-but-stored", tied, infos(LLAMA)),
        "llama-mixed-shards": case("mixed", LLAMA, mixed),
        "llama-old-buffers": case("old", LLAMA, infos(LLAMA, ("self_attn.rotary_emb.inv_freq",))),
        "llama-biases": case("biased", biased, infos(biased, all_bias)),
        "llama-defaults": case("defaults", few, infos({**few, **full})),
        "llama-no-model-type": case("raw", {key: value for key, value in LLAMA.items() if key != "model_type"}),
        "llama-nulls": case("nulls", {**LLAMA, "head_dim": None, "num_key_value_heads": None, "rope_scaling": None}),
        "llama-head-dim": case("wide", {**LLAMA, "head_dim": 128, "rope_theta": 500000}),
        "llama-rope-linear": case("linear", {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.5}}),
        "llama-rope-dynamic": case("dynamic", {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}}),
        "llama-rope-llama3": case(
            "Llama-3.2-1B-Instruct", {**LLAMA, "rope_theta": 500000.0, "rope_scaling": LLAMA3_ROPE}
        ),
        "llama-rope-parameters": case(
            "v5", {**LLAMA, "head_dim": 128, "rope_parameters": {**LLAMA3_ROPE, "factor": 8.0, "rope_theta": 500000.0}}
        ),
        "llama-rope-context": case(
            "outer",
            {**LLAMA, "original_max_position_embeddings": 4096, "rope_scaling": {**LLAMA3_ROPE, "rope_theta": 1e6}},
        ),
        "llama-rope-no-context": case(
            "inner",
            {**LLAMA, "rope_scaling": {**LLAMA3_ROPE, "original_max_position_embeddings": 512}, "rope_theta": 1e5},
        ),
        "llama-rope-outer-only": case(
            "outer-only",
            {
                **LLAMA,
                "max_position_embeddings": 16384,
                "original_max_position_embeddings": 512,
                "rope_scaling": {key: LLAMA3_ROPE[key] for key in LLAMA3_ROPE if key[:8] != "original"},
            },
        ),
        "llama-epsilon": case("epsilon", {**LLAMA, "layer_norm_eps": 1e-6, "is_causal": False}),
        "llama-card": case(
            "Tiny-Llama-1M-it",
            {**LLAMA, "_name_or_path": "some-org/Other-Llama-2B-v0.3"},
            **{
                "README.md": README,
                "generation_config.json": {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.05},
            },
        ),
        "llama-card-without-matter": case("plain", LLAMA, **{"README.md": "# Title\n"}),
        "llama-rope-nested": case(
            "nested",
            {**LLAMA, "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2, "rope_theta": 2e4}}},
        ),
        "mistral": case("Mistral-7B-v0.1", {**MISTRAL, "sliding_window": 4096, "rope_theta": 10000.0}),
        "mistral-defaults": case(
            "defaults",
            few_mistral,
            infos({**few_mistral, **full, "intermediate_size": 14336, "num_key_value_heads": 8}),
        ),
        "mistral-yarn": case(
            "yarn", {**MISTRAL, "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0}}
        ),
        "qwen2": case("Qwen2.5-0.5B-Instruct", {**QWEN2, "tie_word_embeddings": True, "rope_theta": 1000000.0}),
        "qwen2-untied": case("Qwen2", QWEN2),
        "qwen2-head-dim": case("wide", {**QWEN2, "head_dim": 32}),
        "qwen2-defaults": case("defaults", few_qwen2, infos({**few_qwen2, **full_qwen})),
        "qwen2-yarn": case("yarn", {**QWEN2, "rope_scaling": {**yarn, "attention_factor": 1.1, "beta_slow": 1}}),
        "qwen3": case("Qwen3-0.6B", {**QWEN3, "head_dim": 128, "tie_word_embeddings": True, "rope_theta": 1000000}),
        "qwen3-bias": case(
            "bias", {**QWEN3, "attention_bias": True}, infos(QWEN3, (*qkv_bias, "self_attn.o_proj.bias"))
        ),
        "qwen3-defaults": case("defaults", few_qwen3, infos({**few_qwen3, **full_qwen})),
        "qwen3-yarn": case("yarn", {**QWEN3, "rope_scaling": yarn}),
        "qwen3-embedding": case(
            "Qwen3-Embedding-0.6B",
            QWEN3,
            bare,
            **{"modules.json": modules, "1_Pooling/config.json": {"pooling_mode_lasttoken": True}},
        ),
        "qwen3-base-class": case(
            "Embedding",
            {**QWEN3, "architectures": ["Qwen3Model"]},
            bare,
            **{"modules.json": modules, "1_Pooling/config.json": {"pooling_mode_mean_tokens": True}},
        ),
    }
    for stem, name in REAL.items():
        config = json.loads((configs / stem / "config.json").read_text())
        config |= {"num_hidden_layers": 2}
        found[stem.replace("mlc-", "real-")] = case(name, config, infos(config))
    return found


def write(folder: Path, checkpoint: dict[str, Any]) -> None:
    """The checkpoint on disk, its weights a hole."""
    for name, content in checkpoint["files"].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    for file in sorted({record[2] for record in checkpoint["tensors"].values()}):
        header, offset = {}, 0
        for name, (dtype, shape, at) in checkpoint["tensors"].items():
            if at == file:
                end = offset + ITEM_BYTES[dtype] * int(np.prod(shape))
                header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
                offset = end
        text = json.dumps(header).encode()
        with (folder / file).open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            stream.truncate(8 + len(text) + offset)


def reference(folder: Path) -> dict[str, Any]:
    """What the reference would write: metadata without the tokenizer, tensors, computed values."""
    hparams = ModelBase.load_hparams(folder, is_mistral_format=False)
    family = get_model_class(hparams["architectures"][0])
    with torch.inference_mode():
        model = family(folder, gguf.LlamaFileType.MOSTLY_BF16, folder / "out.gguf", hparams=hparams)
        model.set_vocab = lambda: None
        model.prepare_tensors()
        model.prepare_metadata(vocab_only=False)
    metadata = [
        [key, value.type.name, float(np.float32(value.value)) if value.type.name == "FLOAT32" else value.value]
        for part in model.gguf_writer.kv_data
        for key, value in part.items()
        if key not in ("general.file_type", "general.quantization_version")
    ]
    tensors = [[name, list(info.shape)] for part in model.gguf_writer.tensors for name, info in part.items()]
    rope = [
        info.tensor for part in model.gguf_writer.tensors for name, info in part.items() if name == "rope_freqs.weight"
    ]
    return {"metadata": metadata, "tensors": tensors, "rope_freqs": rope[0].tolist() if rope else None}


def main() -> None:
    logging.disable()
    for stem, checkpoint in cases(Path(sys.argv[1])).items():
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / checkpoint["name"]
            folder.mkdir()
            write(folder, checkpoint)
            record = {**checkpoint, "reference": reference(folder)}
        parts = [f"{json.dumps(key)}: {lines(value)}" for key, value in record.items()]
        (Path(__file__).parent / f"{stem}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


def lines(value: Any) -> str:
    """JSON with one line for each item, so that a difference can be read."""
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"
    return json.dumps(value)


if __name__ == "__main__":
    main()
