"""What a model family tells the planner: metadata, and one recipe for every tensor of the GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gguf_file.fields import Field


class Transform(Protocol):
    """A named, pure rearrangement of the source tensors' rows, applied to slabs of whole row groups.

    Implementations are frozen dataclasses, so that a plan is a value and can be compared and serialised.
    """

    @property
    def row_group(self) -> int:
        """Output rows come in groups of this many; a slab handed to `apply` is a whole number of groups."""
        ...

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Source rows of one slab -> output rows of the same slab (same shape)."""
        ...


@dataclass(frozen=True, slots=True)
class TensorRecipe:
    """How one tensor of the GGUF file comes from the checkpoint."""

    name: str  #: GGUF name, e.g. "blk.0.attn_q.weight"
    shape: tuple[int, ...]  #: row-major; GGUF writes the dimensions in reverse
    sources: tuple[str, ...]  #: checkpoint tensor names; empty where `values` holds the tensor
    transform: Transform | None = None  #: None: as it is
    values: tuple[float, ...] | None = None  #: a small tensor that is computed from the config (rope factors)
    stored_type: str | None = None  #: the GGML type that a GGUF source has it in


@dataclass(frozen=True, slots=True)
class Traits:
    """The hyperparameters that the mixes' rules ask for."""

    architecture: str  #: GGUF name, e.g. "llama"
    layers: int
    heads: int
    kv_heads: int
    experts: int = 0


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Everything about a model's GGUF file that does not depend on the chosen format."""

    metadata: tuple[Field, ...]  #: in the reference converter's order, without general.file_type's final value
    recipes: tuple[TensorRecipe, ...]  #: in the reference converter's order
    traits: Traits
