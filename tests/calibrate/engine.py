"""Small models for the engine, and what transformers itself computes with them: the whole model at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from golden.families import gemma3, mixtral, qwen3_moe
from golden.families.case import Case, build
from golden.families.vocabularies import gemma_json, llama_json

from quantize_cli.calibrate.forward import embedded, outside, through_block
from quantize_cli.calibrate.measuring import Subject, measure
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.weights import Original, Weights
from quantize_cli.calibrate.work import Work
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.mixes.find import find_format
from quantize_cli.planning.planner import make_plan
from quantize_cli.sensitivity.model import BlockActivations, TensorCalibration

_GEMMA = gemma3.config(layers=2, hidden=256, ffn=256, vocabulary=328, sliding_window=8, sliding_window_pattern=2)
_MIXTRAL = mixtral.config(experts=4, layers=2, hidden=256, ffn=256, vocabulary=314)

#: Families whose every weight is compared: made by `make_checkpoint`, or built as a golden file's checkpoint is.
FAMILIES = ("llama", "qwen3", "qwen3-moe", "gemma3", "mixtral")
_CASES = {
    "qwen3-moe": next(case for case in qwen3_moe.CASES if case.name == "Qwen3-MoE-single"),
    "gemma3": Case("Gemma3-two-layers", _GEMMA, gemma3.tensors(_GEMMA, 328), gemma_json(), dtype="float16"),
    "mixtral": Case("Mixtral-two-layers", _MIXTRAL, mixtral.tensors(_MIXTRAL), llama_json()),
}


def written(family: str, parent: Path) -> tuple[Path, str | None]:
    """Write a family's small checkpoint under `parent`; return its folder and its pre-tokenizer."""
    if family in _CASES:
        return build(_CASES[family], parent), _CASES[family].vocabulary.pre_tokenizer
    return make_checkpoint(parent / family, family), PRE_TOKENIZER


@dataclass(frozen=True, eq=False)
class Engine:
    """A checkpoint, opened as the engine opens it."""

    folder: Path
    pre_tokenizer: str | None = None
    dtype: str = "f32"

    @cached_property
    def checkpoint(self) -> Any:
        return open_checkpoint(self.folder)

    @cached_property
    def plan(self) -> Any:
        return make_plan(self.checkpoint, find_format("F32"), self.pre_tokenizer)

    @cached_property
    def skeleton(self) -> Skeleton:
        return Skeleton(self.checkpoint, settings_of("cpu", self.dtype))

    @cached_property
    def weights(self) -> Original:
        return Original(self.checkpoint)

    def tokens(self, sequences: int, context: int) -> torch.Tensor:
        """Return tokens int64[sequences, context], of all the vocabulary and the same each time."""
        vocabulary = self.skeleton.model.config.vocab_size
        return (torch.arange(sequences * context).reshape(sequences, context) * 37 + 3) % vocabulary

    def streamed(self, tokens: torch.Tensor, weights: Weights | None = None) -> torch.Tensor:
        """Return logits float32[sequences, context, vocabulary], made one block at a time."""
        weights = weights or self.weights
        outside(self.skeleton, weights)
        passage = Passage(self.skeleton, tokens.shape[1])
        hidden = embedded(passage, tokens)
        for number in range(len(self.skeleton)):
            through_block(self.skeleton, passage, number, weights, hidden)
        return torch.stack([passage.logits(of_sequence) for of_sequence in hidden])

    def measured(
        self, tokens: torch.Tensor, work: Path, types: Sequence[str], seed: int = 0, held_out: int = 0
    ) -> tuple[dict[str, TensorCalibration], list[BlockActivations]]:
        """Measure the model; return what is known of each tensor by its GGUF name, and of each block."""
        subject = Subject(
            self.checkpoint, self.weights, self.skeleton, self.plan.tensors, tokens, held_out, seed, types, 1
        )
        tensors, blocks = measure(subject, Work(work, {}), lambda *_: None)
        return {tensor.name: tensor for tensor in tensors}, blocks

    @cached_property
    def whole(self) -> Any:
        """transformers' own model with all its weights, in float32."""
        return transformers.AutoModelForCausalLM.from_pretrained(
            self.folder,
            dtype=torch.float32,
            attn_implementation=self.skeleton.model.config._attn_implementation,
            experts_implementation="eager",
        ).eval()

    def close(self) -> None:
        """Close the files."""
        self.checkpoint.close()


def noted_labels(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return a list that gets the labels of each sequence, int64[context], as the engine draws them."""
    labels: list[torch.Tensor] = []
    draw = torch.multinomial

    def drawn(*args: Any, **options: Any) -> torch.Tensor:
        found = draw(*args, **options)
        labels.append(found[:, 0])
        return found

    monkeypatch.setattr(torch, "multinomial", drawn)
    return labels


def lost(model: Any, sequence: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the sum of -ln p(label) over a sequence; the gradients of all sequences before are forgotten."""
    model.zero_grad()
    logits = model(sequence[None], use_cache=False).logits[0].float()
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def logits_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return a whole model's logits float32[sequences, context, vocabulary]."""
    with torch.no_grad():
        return model(tokens, use_cache=False).logits.float()


def relative(found: Any, expected: Any) -> float:
    """Return the largest difference, as a part of the largest expected magnitude."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30))
