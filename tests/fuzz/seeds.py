"""Good inputs to damage: a small checkpoint for each family and tokenizer, GGUF files of them, importance matrices."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from checkpoint_factory import tensor_shapes
from golden.families import deepseek, gemma3, mixtral, qwen3_5, qwen3_moe, vocabularies
from golden.families.case import Case, Layout, Tensor, Vocabulary, build, unchanged
from golden.families.shapes import Tensors
from imatrix_factory import DATASET, squares, write_imatrix

from quantize_cli import plan, quantize

CARD = """---
license: mit
language: [en, de]
tags:
- text-generation
base_model: org/Base-1B
datasets: [org/set]
model-index: [{name: tiny, results: []}]
---
# Tiny 1B
"""


@dataclass(frozen=True)
class Input:
    """What the library is given: the files of a folder, and which of them it is told."""

    files: Mapping[str, bytes]
    model: str = ""  #: a file in the folder; the default is the folder itself
    options: Mapping[str, Any] = field(default_factory=dict)
    imatrix: str | None = None  #: a file in the folder

    def with_file(self, name: str, content: bytes | None) -> Input:
        """Return the same input with another content of one file, or without it."""
        others = {other: held for other, held in self.files.items() if other != name}
        return replace(self, files=others if content is None else {**others, name: content})


def _dense(family: str, **more: Any) -> dict[str, Any]:
    """Return config.json of a family that `checkpoint_factory` knows."""
    return {
        "architectures": [f"{family.capitalize()}ForCausalLM"],
        "model_type": family,
        "vocab_size": 320,
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        **more,
    }


def _shaped(config: Mapping[str, Any]) -> Tensors:
    return {name: Tensor(shape) for name, shape in tensor_shapes(config)}


_QWEN = vocabularies.qwen(vocabularies.QWEN_3_SPLIT, "qwen2")
_LLAMA, _MISTRAL, _QWEN2, _QWEN3 = map(_dense, ("llama", "mistral", "qwen2", "qwen3"))
_LLAMA_JSON = _dense("llama", vocab_size=314)
_MIXTRAL = mixtral.config(experts=2, layers=1, hidden=64, ffn=64, vocabulary=314)
_QWEN3_MOE = qwen3_moe.config(experts=2, layers=1, hidden=64, ffn=64, head_dim=32)
_DEEPSEEK = {**deepseek.REAL, "num_nextn_predict_layers": 1, "vocab_size": deepseek.COMMON["vocab_size"]}
_GEMMA = gemma3.config(layers=2, hidden=64, ffn=64, vocabulary=328, head_dim=32)
_GEMMA_TEXT = {key: value for key, value in _GEMMA.items() if key not in ("architectures", "model_type")}
_QWEN3_5 = {"architectures": ["Qwen3_5ForCausalLM"], **qwen3_5.ODD, "hidden_size": 64, "intermediate_size": 96}
_QWEN3_5_MOE = {
    **qwen3_5.MOE,
    "head_dim": 32,
    "hidden_size": 64,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "moe_intermediate_size": 32,
    "num_experts": 2,
    "shared_expert_intermediate_size": 32,
}


@dataclass(frozen=True)
class _Checkpoint:
    """What stands in config.json, the tensors and how they are laid out, and the tokenizer."""

    config: Mapping[str, Any]
    tensors: Tensors
    vocabulary: Vocabulary
    layout: Layout = unchanged


_CHECKPOINTS: Mapping[str, _Checkpoint] = {
    "llama-bytes": _Checkpoint(_LLAMA, _shaped(_LLAMA), _QWEN),
    "llama-json": _Checkpoint(_LLAMA_JSON, _shaped(_LLAMA_JSON), vocabularies.llama_json()),
    "llama-pieces": _Checkpoint(_LLAMA, _shaped(_LLAMA), vocabularies.llama_sentencepiece()),
    "mistral-pieces": _Checkpoint(_MISTRAL, _shaped(_MISTRAL), vocabularies.llama_sentencepiece()),
    "qwen2": _Checkpoint(_QWEN2, _shaped(_QWEN2), _QWEN),
    "qwen3": _Checkpoint(_QWEN3, _shaped(_QWEN3), _QWEN),
    "mixtral": _Checkpoint(_MIXTRAL, mixtral.tensors(_MIXTRAL), vocabularies.llama_json()),
    "qwen3-moe": _Checkpoint(_QWEN3_MOE, qwen3_moe.tensors(_QWEN3_MOE), _QWEN),
    "deepseek-v3": _Checkpoint(_DEEPSEEK, deepseek.tensors(_DEEPSEEK), deepseek.VOCABULARY),
    "gemma3-json": _Checkpoint(_GEMMA, gemma3.tensors(_GEMMA, 336), vocabularies.gemma_json()),
    "gemma3-pieces": _Checkpoint(_GEMMA, gemma3.tensors(_GEMMA, 328), vocabularies.gemma_sentencepiece()),
    "gemma3-vision": _Checkpoint(
        gemma3.conditional(_GEMMA_TEXT),
        gemma3.tensors(_GEMMA_TEXT, 328) | gemma3.vision(64),
        vocabularies.gemma_both(),
        gemma3.NEW,
    ),
    "qwen3.5": _Checkpoint(_QWEN3_5, qwen3_5.tensors(_QWEN3_5) | qwen3_5.mtp(_QWEN3_5), qwen3_5.VOCABULARY),
    "qwen3.5-moe": _Checkpoint(
        qwen3_5.conditional("Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", _QWEN3_5_MOE),
        qwen3_5.tensors(_QWEN3_5_MOE) | qwen3_5.mtp(_QWEN3_5_MOE) | qwen3_5.vision(64),
        qwen3_5.VOCABULARY,
        qwen3_5.inside_and_stacked,
    ),
}


@cache
def checkpoint(name: str, shards: int = 1) -> Input:
    """Return the checkpoint with that name in the table above, with every small file that is read."""
    held = _CHECKPOINTS[name]
    case = Case("tiny-1B", held.config, held.tensors, held.vocabulary, layout=held.layout, shards=shards)
    with TemporaryDirectory() as parent:
        files = {path.name: path.read_bytes() for path in build(case, Path(parent)).iterdir()}
    settings = json.loads(files["tokenizer_config.json"])
    roles = {
        role: settings[role] for role in ("bos_token", "eos_token", "pad_token", "unk_token") if settings.get(role)
    }
    files["special_tokens_map.json"] = json.dumps(roles).encode()
    files["generation_config.json"] = json.dumps({"temperature": 0.6, "top_k": 20, "eos_token_id": [2]}).encode()
    files["README.md"] = CARD.encode()
    files.setdefault("added_tokens.json", b"{}")
    files.setdefault("chat_template.jinja", b"{% for message in messages %}{{ message.content }}{% endfor %}")
    if name == "llama-json":
        files["additional_chat_templates/tool.jinja"] = b"{{ tools }}"
    return Input(files, options={"pre_tokenizer": held.vocabulary.pre_tokenizer})


@cache
def checkpoints() -> tuple[Input, ...]:
    """Return one checkpoint for each family and tokenizer."""
    return tuple(map(checkpoint, _CHECKPOINTS))


@cache
def described() -> tuple[Input, ...]:
    """Return checkpoints with all that tells of a model: each with a model card, one of them an embedding model."""
    pooling = {
        "modules.json": b'[{"idx": 0, "type": "models.Transformer", "path": ""}, '
        b'{"idx": 1, "type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]',
        "1_Pooling/config.json": b'{"word_embedding_dimension": 64, "pooling_mode_lasttoken": true}',
    }
    embedding = checkpoint("qwen3")
    return (*checkpoints(), *[replace(embedding, files={**embedding.files, **pooling})] * 6)


@cache
def sharded() -> tuple[Input, ...]:
    """Return checkpoints in three files with an index."""
    return (checkpoint("llama-bytes", 3), checkpoint("mixtral", 2))


@cache
def gguf_files() -> tuple[Input, ...]:
    """Return models that are GGUF files already, one in two parts."""
    found = [_as_gguf(name, "bf16") for name in ("llama-bytes", "llama-pieces", "mixtral", "gemma3-json", "qwen3.5")]
    found.append(_as_gguf("qwen3", "q8_0", allow_requantize=True))
    found.append(_as_gguf("qwen2", "bf16", split=True))
    return tuple(found)


@cache
def imatrices() -> tuple[Input, ...]:
    """Return models with an importance matrix, a GGUF file."""
    return tuple(_with_imatrix(name, legacy=False) for name in ("llama-pieces", "mixtral"))


@cache
def legacy_imatrices() -> tuple[Input, ...]:
    """Return models with an importance matrix of the older format."""
    return tuple(_with_imatrix(name, legacy=True) for name in ("llama-pieces", "mixtral"))


def _as_gguf(name: str, format_name: str, *, split: bool = False, **options: Any) -> Input:
    source = checkpoint(name)
    with TemporaryDirectory() as parent:
        folder, out = Path(parent) / "tiny", Path(parent) / "out"
        folder.mkdir()
        out.mkdir()
        for file, content in source.files.items():
            (folder / file).write_bytes(content)
        size = {"split_max_size": 1 << 16} if split else {}
        quantize(folder, format_name, out, threads=1, **source.options, **size)
        files = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    return Input(files, model=min(files), options=options)


def _with_imatrix(name: str, *, legacy: bool) -> Input:
    """Add an importance matrix that has an entry for each matrix."""
    source = checkpoint(name)
    with TemporaryDirectory() as parent:
        folder = Path(parent)
        for file, content in source.files.items():
            (folder / file).write_bytes(content)
        planned = plan(folder, "q4_0", **source.options)
        entries = {
            tensor.name: np.tile(squares(tensor.shape[-1], seed), (int(np.prod(tensor.shape[:-2])), 1))
            for seed, tensor in enumerate(planned.tensors)
            if len(tensor.shape) > 1
        }
        content = _legacy(entries) if legacy else write_imatrix(folder / "imatrix.gguf", entries).read_bytes()
    file = "imatrix.dat" if legacy else "imatrix.gguf"
    return replace(source.with_file(file, content), imatrix=file)


def _legacy(entries: Mapping[str, np.ndarray]) -> bytes:
    parts = [struct.pack("<i", len(entries))]
    for name, values in entries.items():
        raw = name.encode()
        parts += [struct.pack("<i", len(raw)), raw, struct.pack("<2i", 3, values.size), values.astype("<f4").tobytes()]
    return b"".join([*parts, struct.pack("<2i", 7, len(DATASET)), DATASET.encode()])
