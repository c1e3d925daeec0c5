"""What distinguishes one model family from another, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gguf import MODEL_ARCH, GGUFWriter

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.description import TensorRecipe, Transform
from quantize_cli.tokenizers.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The sizes that tensor shapes are made of."""

    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head: int  #: rows of one attention head

    @property
    def query(self) -> int:
        """Rows of the query projection."""
        return self.heads * self.head

    @property
    def key(self) -> int:
        """Rows of the key projection, and of the value projection."""
        return self.kv_heads * self.head


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor of a family's layout: its row-major shape, and what happens to its rows."""

    shape: Callable[[Dimensions], tuple[int, ...]]
    required: bool = True
    transform: Callable[[Dimensions], Transform] | None = None

    def optional(self) -> Slot:
        """The same slot in a family whose checkpoints may go without it."""
        return replace(self, required=False)


#: GGUF tensor name, with {bid} for the layer's number -> slot.
Layout = Mapping[str, Slot]


def nothing_computed(_config: Config, _dimensions: Dimensions) -> tuple[TensorRecipe, ...]:
    """Most families store all their tensors."""
    return ()


@dataclass(frozen=True, slots=True)
class Family:
    """A model family.

    `defaults` and `derived` stand for the configuration class of transformers, through which the reference reads
    config.json: what the file leaves out comes from there and ends in the metadata. They apply where the file's
    model_type is the family's, as there.
    """

    architecture: MODEL_ARCH
    model_type: str  #: config.json's name for the family
    vocabulary: Vocabulary
    layout: Layout
    defaults: Mapping[str, Any]
    derived: Mapping[str, Callable[[Config], int]]  #: values that follow from others where absent or null
    add_metadata: Callable[[GGUFWriter, Config, Dimensions], None]  #: the keys after the common hyperparameters
    computed: Callable[[Config, Dimensions], tuple[TensorRecipe, ...]] = nothing_computed
