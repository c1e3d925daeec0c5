"""A model that the engine is to run: opened, described, and with its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from quantize_cli.architectures.describe import tokenizer_class
from quantize_cli.calibrate.settings import Settings
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.planning.model import Plan
from quantize_cli.planning.planner import make_plan
from quantize_cli.texts.defaults import default_documents
from quantize_cli.texts.encoder import ModelEncoder, encoder_of
from quantize_cli.texts.files import documents_of_files
from quantize_cli.texts.model import Document, Part, Sequences
from quantize_cli.texts.overlap import GRAM, overlap
from quantize_cli.texts.parts import part_of
from quantize_cli.texts.sequences import sequences

#: The fewest tokens of a sequence; the second half of one is scored, less its last.
_LEAST_CONTEXT = 4


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """An original model, whose weights are here."""

    checkpoint: Checkpoint
    plan: Plan  #: of a file without loss
    skeleton: Skeleton
    encoder: ModelEncoder


@contextmanager
def opened_model(model: str | Path, revision: str | None, settings: Settings, observer: Observer) -> Iterator[Model]:
    """Open a model, refuse what the engine cannot run, and download its weights.

    Raises:
        QuantizeError: The model cannot be opened, converted or run.
    """
    with closing(open_checkpoint(model, revision, observer)) as checkpoint:
        if isinstance(checkpoint, GgufCheckpoint):
            raise UnsupportedError(
                f"{checkpoint.location} is a GGUF file, and the engine needs the original model with its config.json; "
                "give that."
            )
        made = model_of(checkpoint, settings)
        checkpoint.fetch(observer)
        yield made


def model_of(checkpoint: Checkpoint, settings: Settings) -> Model:
    """Describe a model, and refuse what the engine cannot run.

    Raises:
        QuantizeError: The model cannot be converted or run.
    """
    plan = make_plan(checkpoint, find_format("F32"))
    encoder = encoder_of(checkpoint.sidecars, plan.files[0].metadata, hf_class=tokenizer_class(checkpoint))
    return Model(checkpoint, plan, Skeleton(checkpoint, settings), encoder)


def documents_for(texts: Sequence[str | Path], part: Part) -> tuple[Document, ...]:
    """Return the user's texts, or that part of our own.

    Raises:
        CheckpointError: A text cannot be used.
    """
    return documents_of_files(texts) if texts else part_of(default_documents(), part)


def shared_words(calibrated: Sequence[Document], measured: Sequence[Document], which: str) -> str:
    """Tell how much of the texts that are measured on stands in those that are calibrated on; `which` says which."""
    share = overlap(calibrated, measured)
    return f"{share:.2%} of the sequences of {GRAM} words in {which}."


def tokens_of(model: Model, documents: Sequence[Document], context: int, tokens: int | None) -> Sequences:
    """Cut documents into sequences of the model's tokens.

    Raises:
        QuantizeError: The texts are too short, or the model's tokenizer cannot encode them.
    """
    if context < _LEAST_CONTEXT:
        raise UsageError(f"A context of {context} tokens does not leave any to score; take at least {_LEAST_CONTEXT}.")
    return sequences(documents, model.encoder, context, tokens)


def on_device(found: Sequences, settings: Settings) -> Tensor:
    """Return the tokens where the model is computed, int64[sequences, context]."""
    return torch.from_numpy(found.tokens).to(settings.device, torch.int64)
