"""Models that are as small as blocks of 32 weights let them be, calibrated and planned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from engine import Engine
from golden.families import mixtral
from golden.families.case import Case, build
from golden.families.vocabularies import llama_json

from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.skeleton import OUTSIDE
from quantize_cli.mixes.find import find_format
from quantize_cli.planning.planner import make_plan
from quantize_cli.sensitivity.check import identity_of
from quantize_cli.sensitivity.model import Calibration

CONTEXT, SEQUENCES, HELD_OUT = 8, 6, 2
_CONFIG = mixtral.config(experts=4, layers=2, hidden=64, ffn=64, vocabulary=314)
FAMILIES = ("llama", "mixtral")


def small(family: str, parent: Path) -> Small:
    """Write a checkpoint, and open it."""
    if family == "mixtral":
        case = Case("Small-Mixtral", _CONFIG, mixtral.tensors(_CONFIG), llama_json())
        return Small(Engine(build(case, parent), case.vocabulary.pre_tokenizer), parent)
    folder = make_checkpoint(
        parent / family,
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
    )
    return Small(Engine(folder, PRE_TOKENIZER), parent)


@dataclass(frozen=True, eq=False)
class Small:
    """A model, and what it is rounded by."""

    engine: Engine
    folder: Path

    @cached_property
    def tokens(self) -> torch.Tensor:
        return self.engine.tokens(SEQUENCES, CONTEXT)

    @cached_property
    def plan(self) -> Any:
        return make_plan(self.engine.checkpoint, find_format("Q4_0"), self.engine.pre_tokenizer)

    @cached_property
    def calibration(self) -> Calibration:
        tensors, blocks = self.engine.measured(self.tokens, self.folder / "measured", ("Q4_0",), held_out=HELD_OUT)
        return Calibration(
            model=identity_of(self.engine.checkpoint),
            architecture="llama",
            context=CONTEXT,
            texts=(),
            tensors=tuple(tensors.values()),
            blocks=tuple(blocks),
            tokens=self.tokens.numpy().astype("int32"),
            held_out=HELD_OUT,
        )

    def loaded(self) -> tuple[Passage, Joined, torch.Tensor]:
        """Load the first block; return the way to it, its tensors, and what it gets."""
        engine = self.engine
        engine.skeleton.load(OUTSIDE, engine.weights)
        passage = Passage(engine.skeleton, CONTEXT)
        with torch.no_grad():
            hidden = passage.embed(self.tokens)
        engine.skeleton.load(0, engine.weights)
        names = set(engine.skeleton.names(0))
        tensors = [
            tensor for tensor in engine.plan.tensors if len(tensor.shape) > 1 and names.issuperset(tensor.sources)
        ]
        return passage, Joined(engine.skeleton, tensors, engine.checkpoint.infos), hidden
