"""The description of a model for the planner: metadata, and a recipe for every tensor of the GGUF file."""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.architectures.maps import Map
from quantize_cli.architectures.moves import Move
from quantize_cli.architectures.origin import Origin
from quantize_cli.gguf_file.fields import Field


@dataclass(frozen=True, slots=True)
class TensorRecipe:
    """The way from the checkpoint to one tensor of the GGUF file: sources end to end, then moves, then maps."""

    name: str  #: GGUF name, e.g. "blk.0.attn_q.weight"
    shape: tuple[int, ...]  #: row-major; GGUF writes the dimensions in reverse
    sources: tuple[str, ...]  #: checkpoint tensor names; empty if `values` holds the tensor
    moves: tuple[Move, ...] = ()
    maps: tuple[Map, ...] = ()
    values: tuple[float, ...] | None = None  #: a small tensor that is computed from the config (rope factors)
    stored_type: str | None = None  #: GGML type in a lossless file; None is that of the model's matrices


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Everything about a model's GGUF file that does not depend on the chosen format."""

    metadata: tuple[Field, ...]  #: in the reference converter's order, without general.file_type
    recipes: tuple[TensorRecipe, ...]  #: in the reference converter's order
    origin: Origin  #: the place that the metadata comes from
    notes: tuple[str, ...] = ()  #: sentences for the user about guesses and their reasons
    recognised_by: str | None = None  #: what told the pre-tokenizer; see `VocabularyFields`
