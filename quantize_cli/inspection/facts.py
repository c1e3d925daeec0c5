"""What metadata and tensor headers tell of a model, in words and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.inspection.model import DtypeFacts, Hyperparameters, TokenizerFacts

#: tokenizer.ggml.model -> what it means (src/llama-vocab.cpp, `llama_vocab::impl::load`).
KINDS = {
    "gpt2": "byte-level BPE",
    "llama": "SentencePiece, or BPE with byte tokens",
    "bert": "WordPiece",
    "t5": "Unigram",
    "rwkv": "RWKV's greedy tokenizer",
    "plamo2": "PLaMo 2's Unigram",
    "gemma4": "Gemma 4's BPE",
    "hybriddna": "BPE beside k-mers",
    "none": "none",
}


def hyperparameters(fields: Mapping[str, Field], architecture: str) -> Hyperparameters:
    """Return the sizes that metadata gives under the name of the architecture."""

    def number(name: str) -> int | tuple[int, ...] | None:
        held = fields.get(f"{architecture}.{name}")
        if held is None:
            return None
        if held.type is ValueType.ARRAY:
            values = tuple(int(value) for value in held.value)
            return values[0] if len(set(values)) == 1 else values
        return int(held.value)

    blocks, mtp, size = number("block_count"), number("nextn_predict_layers"), number("vocab_size")
    mtp_layers = mtp if isinstance(mtp, int) else 0
    tokens = fields.get("tokenizer.ggml.tokens")
    return Hyperparameters(
        context_length=number("context_length"),
        layers=blocks - mtp_layers if isinstance(blocks, int) else None,
        mtp_layers=mtp_layers,
        embedding_length=number("embedding_length"),
        feed_forward_length=number("feed_forward_length"),
        heads=number("attention.head_count"),
        kv_heads=number("attention.head_count_kv"),
        experts=number("expert_count"),
        experts_used=number("expert_used_count"),
        experts_shared=number("expert_shared_count"),
        vocabulary=len(tokens.value) if tokens is not None else size if isinstance(size, int) else None,
    )


def tokenizer(fields: Mapping[str, Field], recognised_by: str | None) -> TokenizerFacts | None:
    """Return the tokenizer that metadata names; `recognised_by` is for one that has a pre-tokenizer."""
    model, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if model is None:
        return None
    name = str(model.value)
    return TokenizerFacts(name, KINDS.get(name, "unknown"), None if pre is None else str(pre.value), recognised_by)


def dtypes(infos: Iterable[TensorInfo]) -> tuple[DtypeFacts, ...]:
    """Return the dtypes of tensors, most bytes first."""
    groups: dict[str, list[TensorInfo]] = {}
    for info in infos:
        groups.setdefault(info.dtype, []).append(info)
    return tuple(sorted((_dtype(name, held) for name, held in groups.items()), key=lambda facts: -facts.bytes))


def _dtype(name: str, infos: Sequence[TensorInfo]) -> DtypeFacts:
    return DtypeFacts(name, len(infos), sum(info.elements for info in infos), sum(info.nbytes for info in infos))
