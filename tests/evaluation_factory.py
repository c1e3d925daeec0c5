"""Evaluations and calibrations of models that do not exist; the figures are plausible, and always the same."""

from __future__ import annotations

import dataclasses

import numpy as np
from report_factory import HOSTILE, KINDS

from quantize_cli.evaluation.figures import TokenDivergences, by_kind, divergence, paired
from quantize_cli.evaluation.model import SCHEMA_VERSION, Evaluation, FileEvaluation
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.sensitivity.model import BlockActivations, Calibration, ModelIdentity, TensorCalibration
from quantize_cli.texts.model import TextRecord

TEXT_KINDS = ("prose", "chat", "code", "mathematics", "scripts", "json")
#: Format -> bits per weight and mean KLD.
FORMATS = {
    "Q8_0": (8.5, 0.0006),
    "Q6_K": (6.57, 0.0019),
    "Q5_K_M": (5.68, 0.0084),
    "Q4_K_M": (4.84, 0.0282),
    "IQ4_XS": (4.42, 0.0363),
    "Q4_0": (4.58, 0.0711),
    "Q3_K_M": (3.9, 0.0844),
    "Q2_K": (3.2, 0.332),
}


def records(tokens: int = 4096) -> tuple[TextRecord, ...]:
    return tuple(
        TextRecord(kind, (f"{kind}-1", f"{kind}-2"), tokens, f"{number:02x}" * 32)
        for number, kind in enumerate(TEXT_KINDS)
    )


def tokens(mean: float, seed: int = 0, count: int = 3000) -> TokenDivergences:
    """Tokens whose KLD has this mean, more or less; code is the worst kind."""
    rng = np.random.default_rng(seed)
    kinds = np.sort(rng.integers(0, len(TEXT_KINDS), count))
    kld = rng.gamma(0.4, 2.5, count) * mean * np.where(kinds == 2, 2.5, 0.7)
    original = rng.gamma(1.2, 2.0, count)
    return TokenDivergences(
        kld, rng.random(count) > mean**0.5 / 2, original + rng.normal(mean, mean**0.5 / 3, count), original, kinds
    )


def evaluated(*formats: str, folder: str = "models/") -> Evaluation:
    """An evaluation of files in these formats."""
    measured = [tokens(FORMATS[name][1]) for name in formats]
    files = tuple(
        FileEvaluation(
            file=f"{folder}Meta-Llama-3.1-8B-Instruct-{name}.gguf",
            format=name,
            bytes=int(8.03e9 * FORMATS[name][0] / 8),
            bits_per_weight=FORMATS[name][0],
            all=divergence(held),
            by_kind=by_kind(held, TEXT_KINDS),
            from_first=paired(held, measured[0]) if number else None,
        )
        for number, (name, held) in enumerate(zip(formats, measured, strict=True))
    )
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        generator="quantize-cli 0.1.0",
        original="meta-llama/Meta-Llama-3.1-8B-Instruct",
        original_bytes=16_060_522_496,
        architecture="llama",
        context=512,
        device="cpu",
        dtype="float32",
        texts=records(),
        files=files,
        seconds=421.5,
    )


def hostile(evaluation: Evaluation) -> Evaluation:
    """The same, with text that tries to become markup wherever text comes from files."""
    texts = tuple(dataclasses.replace(text, kind=HOSTILE, documents=(HOSTILE,)) for text in evaluation.texts)
    files = tuple(
        dataclasses.replace(
            file, file=HOSTILE, format=HOSTILE, by_kind=tuple((HOSTILE, figures) for _, figures in file.by_kind)
        )
        for file in evaluation.files
    )
    return dataclasses.replace(evaluation, original=HOSTILE, architecture=HOSTILE, texts=texts, files=files)


def calibrated(layers: int = 12, *, experts: int = 0, hidden: int = 256) -> Calibration:
    """A calibration: channel 7 is extreme from layer 2 on, channel 99 in layer 4 alone; expert 1 is never hit."""
    rng = np.random.default_rng(0)
    types = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")

    def tensor(name: str, scale: float, its_experts: int = 1) -> TensorCalibration:
        counts = np.full(its_experts, 4096.0, np.float32)
        if its_experts > 1:
            counts[:3] = 4000, 0, 12
        costs = {type_: float(scale * 60 / 4 ** bits_of(type_)) for type_ in types}
        return TensorCalibration(name, rng.random((its_experts, 8), np.float32), counts, costs)

    tensors = [tensor("token_embd.weight", 0.05)]
    for layer in range(layers):
        for kind in KINDS:
            if kind.endswith("norm"):
                continue
            many = experts if kind.startswith("ffn") else 0
            name = f"blk.{layer}.{kind}{'_exps' if many else ''}.weight"
            tensors.append(tensor(name, float(rng.uniform(0.01, 1)) * (8 if kind == "attn_v" else 1), many or 1))
    blocks = []
    for layer in range(layers):
        largest = np.abs(rng.normal(1 + layer / 10, 0.1, hidden)).astype(np.float32)
        if layer >= 2:
            largest[7] = 40 + 10 * layer
        if layer == 4:
            largest[99] = 12
        blocks.append(BlockActivations(largest, largest**2 / 9))
    return Calibration(
        model=ModelIdentity("c0" * 32, "5a" * 32),
        architecture="llama",
        context=512,
        texts=records(),
        tensors=tuple(tensors),
        blocks=tuple(blocks),
    )


def bits_of(type_: str) -> float:
    held = GGML_TYPES[type_]
    return 8 * held.block_bytes / held.block_size
