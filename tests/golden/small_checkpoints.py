"""Checkpoints, the same bits on every machine, for comparing whole files with the reference.

All but SmolLM2 are small and random. Weights come from PCG64's raw integers (a stream that NumPy keeps stable) by
float32 steps that IEEE 754 fixes. Every matrix has rows of the awkward kinds: zeros, constants, outliers, one sign, and
large, tiny and subnormal values.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[Any]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "shakespeare-llama"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json")
DTYPES: Mapping[str, Any] = {
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "uint8": np.uint8,
}
OUTTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float64": "f32"}
MIXED = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class SmallCheckpoint:
    """A checkpoint to build: its folder's name ends in the metadata, so it belongs to the reference."""

    name: str
    config: Mapping[str, Any]
    dtypes: tuple[str, ...]  #: torch names; tensors take them in turn
    tokenizers: tuple[str, ...] = ()  #: folders under shared/tokenizers, the later win; none: the example's tokenizer
    shards: int = 1

    @property
    def pre_tokenizer(self) -> str | None:
        """What to tell the converter where the vocabulary is none that the reference knows."""
        return None if self.tokenizers else "gpt-2"

    @property
    def outtype(self) -> str:
        """The converter's output type that loses nothing."""
        return OUTTYPES[self.dtypes[0]] if len(self.dtypes) == 1 else "f32"


def config(
    architecture: str, vocab: int, layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, **more: Any
) -> dict[str, Any]:
    """A config.json with what all four families have in common."""
    return {
        "architectures": [f"{architecture}ForCausalLM"],
        "model_type": architecture.lower(),
        "vocab_size": vocab,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 2048,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        **more,
    }


LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}

#: One checkpoint a family, and the shapes that make the mixes' rules and fallbacks differ.
FAMILIES = (
    # 16 layers: the first sixteenth and eighth of the layers count; 4 heads on 1: attn_v takes more bits.
    SmallCheckpoint(
        "Random-Llama-3-13M-Instruct",
        config("Llama", 1024, 16, 256, 768, 4, 1, rope_theta=500000.0, rope_scaling=LLAMA_3_ROPE),
        MIXED,
    ),
    SmallCheckpoint(
        "Random-Mistral-9M-v0.3",
        config("Mistral", 1024, 4, 512, 768, 8, 4, sliding_window=None),
        ("float16",),
        shards=3,
    ),
    # Rows of 320: every K type of the 256 falls back to a type of 32; those of ffn_down do not.
    SmallCheckpoint(
        "random-qwen2",
        config("Qwen2", 1024, 9, 320, 512, 5, 1, rope_theta=1e6, tie_word_embeddings=True),
        ("bfloat16",),
    ),
    SmallCheckpoint(
        "Random_Qwen3",
        config("Qwen3", 1024, 8, 256, 512, 4, 2, head_dim=128, rope_theta=1e6, tie_word_embeddings=True),
        ("float32",),
    ),
    # Rows of 400 are not divisible by 32 either: F16.
    SmallCheckpoint("Random-Llama-odd-rows", config("Llama", 1024, 4, 288, 400, 8, 8), ("bfloat16",)),
)


def tokenizer_checkpoint(name: str, architecture: str, vocab: int, *tokenizers: str, **more: Any) -> SmallCheckpoint:
    """A model as small as can be around a real vocabulary."""
    return SmallCheckpoint(name, config(architecture, vocab, 1, 64, 64, 2, 1, **more), ("bfloat16",), tokenizers)


#: The families with the tokenizers they are met with; vocabularies larger than the tokenizer's are padded.
TOKENIZERS = (
    tokenizer_checkpoint("Llama-2-tokenizer.model", "Llama", 32000, "llama2", "llama2-spm"),
    tokenizer_checkpoint("Llama-2-tokenizer.json", "Llama", 32000, "llama2"),
    tokenizer_checkpoint("Llama-3.1-tokenizer", "Llama", 128256, "llama3_1"),
    tokenizer_checkpoint("Llama-gpt2-tokenizer", "Llama", 50304, "gpt2"),
    tokenizer_checkpoint("Mistral-v0.1-tokenizer", "Mistral", 32005, "merlinite-7b-mistral-v0.1"),
    tokenizer_checkpoint("Mistral-v0.3-tokenizer", "Mistral", 32768, "mistral-7b-v0.3"),
    tokenizer_checkpoint("Qwen2-tokenizer", "Qwen2", 151936, "qwen3", tie_word_embeddings=True),
    tokenizer_checkpoint("Qwen3-tokenizer", "Qwen3", 151936, "qwen3", head_dim=32, tie_word_embeddings=True),
)

#: SmolLM2-135M-Instruct by the golden's folder: options of shared/tools/smollm2_checkpoint.py.
SMOLLM2: Mapping[str, tuple[str, ...]] = {
    "SmolLM2-135M-Instruct-bf16": ("--dtype", "bf16"),
    "SmolLM2-135M-Instruct-f16": ("--dtype", "f16"),
    "SmolLM2-135M-Instruct-bf16-3-shards": ("--dtype", "bf16", "--shards", "3"),
}


def tensor_shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the checkpoint by its Hugging Face name."""
    hidden, ffn, heads, kv_heads = (
        config[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    )
    head = config.get("head_dim", hidden // heads)
    family = config["model_type"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for letter, rows in ("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head):
            yield f"{prefix}.self_attn.{letter}_proj.weight", (rows, hidden)
            if family == "qwen2":
                yield f"{prefix}.self_attn.{letter}_proj.bias", (rows,)
            if family == "qwen3" and letter != "v":
                yield f"{prefix}.self_attn.{letter}_norm.weight", (head,)
        yield f"{prefix}.self_attn.o_proj.weight", (hidden, heads * head)
        yield f"{prefix}.mlp.gate_proj.weight", (ffn, hidden)
        yield f"{prefix}.mlp.up_proj.weight", (ffn, hidden)
        yield f"{prefix}.mlp.down_proj.weight", (hidden, ffn)
        yield f"{prefix}.input_layernorm.weight", (hidden,)
        yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config.get("tie_word_embeddings", False):
        yield "lm_head.weight", (config["vocab_size"], hidden)


def bell(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Bell-shaped float32 values of standard deviation 0.018: multiples of 2^-21, sums of four 16-bit integers."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    quarters = sum((raw >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    centred = np.asarray(quarters).astype(np.int64) - 2 * 0xFFFF
    return (centred.astype(np.float32) * np.float32(2.0**-21)).reshape(shape)


def matrix(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Bell-shaped rows, every second one heavy-tailed, with awkward ones among them."""
    rows = bell(key, shape)
    unit = rows[1::2] * np.float32(64)
    rows[1::2] = unit * unit * unit * np.float32(2.0**-6)
    rows[3::64] = 0
    rows[5::64] = np.float32(0.0078125)
    rows[7::64] *= np.float32(2.0**-100)
    rows[9::64] *= np.float32(2.0**14)
    rows[11::64, ::7] *= np.float32(2.0**8)
    rows[13::64] = np.abs(rows[13::64])
    rows[15::64] *= np.float32(2.0**-124)
    return rows


def tensors(checkpoint: SmallCheckpoint) -> dict[str, Array]:
    """The checkpoint's tensors in their dtypes, vectors near one where they are norms."""
    found: dict[str, Array] = {}
    for index, (name, shape) in enumerate(tensor_shapes(checkpoint.config)):
        key = f"{checkpoint.name}/{name}"
        values = matrix(key, shape) if len(shape) == 2 else bell(key, shape) + np.float32("norm" in name)
        found[name] = values.astype(DTYPES[checkpoint.dtypes[index % len(checkpoint.dtypes)]])
    return found


def write_weights(folder: Path, weights: Mapping[str, Array], shards: int) -> None:
    """model.safetensors, or shards with their index."""
    if shards == 1:
        save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: values for at, (name, values) in enumerate(weights.items()) if at % shards == shard}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def build(checkpoint: SmallCheckpoint, parent: Path, tokenizers: Path | None = None) -> Path:
    """Write `checkpoint` into a new folder under `parent` and return it.

    `tokenizers` is the folder of the real vocabularies, for the checkpoints that name one.
    """
    folder = parent / checkpoint.name
    folder.mkdir()
    write_weights(folder, tensors(checkpoint), checkpoint.shards)
    dtype = checkpoint.dtypes[0] if len(checkpoint.dtypes) == 1 else "float32"
    (folder / "config.json").write_text(json.dumps({**checkpoint.config, "torch_dtype": dtype}, indent=2))
    for source in (tokenizers / name for name in checkpoint.tokenizers) if tokenizers else (EXAMPLE,):
        for file in TOKENIZER_FILES:
            if (source / file).exists():
                shutil.copyfile(source / file, folder / file)
    return folder


def build_smollm2(name: str, parent: Path, shared: Path) -> Path:
    """Write the SmolLM2 checkpoint `name` of SMOLLM2 and return its folder, whose own name becomes general.name."""
    folder = parent / name / "SmolLM2-135M-Instruct"
    script = shared / "tools" / "smollm2_checkpoint.py"
    subprocess.run([sys.executable, str(script), str(folder), *SMOLLM2[name]], check=True, stdout=subprocess.DEVNULL)
    return folder
