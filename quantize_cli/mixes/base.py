"""What a mix is: a default type and an ordered table of exceptions; and what the exceptions depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantize_cli.mixes.roles import Role
from quantize_cli.mixes.traits import ModelTraits


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor before it has a type."""

    name: str  #: GGUF name
    shape: tuple[int, ...]  #: row-major
    stored_type: str = "F32"  #: GGML name of the type that it keeps if no type may be chosen for it


@dataclass(frozen=True, slots=True)
class Choice:
    """A type and the reason for it."""

    type: str
    reason: str
    instead_of: str | None = None  #: the type that the tensor's shape ruled out
    requires_importance: bool = False  #: the reference refuses to write this without an importance matrix
    cost: float | None = None  #: measured, in nats a token; None where no cost decided


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's place among those of its role, and its model: all that a rule may ask."""

    name: str
    shape: tuple[int, ...]
    role: Role
    ordinal: int  #: number in file order among the tensors of its kind that the rules decide; attn_v, attn_qkv and
    #: attn_kv_b are one kind
    layer: int  #: `ordinal`; for ffn_* in a model with experts, the number of the layer in the name
    count: int  #: the total that the reference compares `layer` with: all layers for ffn_*, all of the kind for attn_v
    model: ModelTraits
    has_importance: bool  #: whether an importance matrix is given, even one that does not have this tensor

    @property
    def grouped(self) -> bool:
        """Whether at least 4 heads share a key-value head."""
        return self.model.query_groups >= 4

    @property
    def eight_experts(self) -> bool:
        """Whether the model has 8 experts, as Mixtral has; its attention is small compared with them."""
        return self.model.experts == 8

    @property
    def falcon(self) -> bool:
        """Whether the model is a Falcon, whose ffn_down and attn_output get fewer bits."""
        return self.model.architecture == "falcon"

    @property
    def more_bits(self) -> bool:
        """Whether the layer is in the first or last eighth, or is one of every three between them."""
        eighth = self.count // 8
        return self.layer < eighth or self.layer >= 7 * self.count // 8 or (self.layer - eighth) % 3 == 2


@dataclass(frozen=True, slots=True)
class Rule:
    """An exception to a mix's default type; the first rule that matches a tensor wins."""

    roles: frozenset[Role]
    type: str
    reason: str
    when: Callable[[Place], bool] = lambda _place: True


@dataclass(frozen=True, slots=True)
class Mix:
    """A named way to give every tensor of a model its type.

    Only mixes whose default is a quantized type have rules. `output` is the type of the output matrix, or of the token
    embedding that serves as one.
    """

    name: str
    file_type: int  #: general.file_type: llama.cpp's llama_ftype
    default: str
    good_for: str  #: advice for those who choose a format
    rules: tuple[Rule, ...] = ()
    output: str = "Q6_K"
