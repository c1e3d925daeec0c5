"""What a mix is: a default type and an ordered table of exceptions; and what the exceptions look at."""

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands among those of its role, and in which model: all that a rule may ask."""

    name: str
    shape: tuple[int, ...]
    role: Role
    ordinal: int  #: number in file order among the tensors of its kind that the rules decide; attn_v, attn_qkv and
    #: attn_kv_b are one kind
    layer: int  #: the same, but for ffn_* in a model with experts: the layer that the name tells
    count: int  #: how many the reference reckons with: all layers for ffn_*, all of the kind for attn_v
    model: ModelTraits
    has_importance: bool  #: an importance matrix is given, whether it knows this tensor or not

    @property
    def grouped(self) -> bool:
        """At least 4 heads share a key-value head."""
        return self.model.query_groups >= 4

    @property
    def eight_experts(self) -> bool:
        """As in Mixtral, whose attention is small beside its experts."""
        return self.model.experts == 8

    @property
    def falcon(self) -> bool:
        """Falcon's ffn_down and attn_output get fewer bits."""
        return self.model.architecture == "falcon"

    @property
    def more_bits(self) -> bool:
        """In the first or last eighth of the layers, or every third between them."""
        eighth = self.count // 8
        return self.layer < eighth or self.layer >= 7 * self.count // 8 or (self.layer - eighth) % 3 == 2


@dataclass(frozen=True, slots=True)
class Rule:
    """An exception to a mix's default type: the first rule that fits a tensor decides."""

    roles: frozenset[Role]
    type: str
    reason: str
    when: Callable[[Place], bool] = lambda _place: True


@dataclass(frozen=True, slots=True)
class Mix:
    """A named way of giving every tensor of a model its type.

    Rules are for mixes whose default is a quantized type; `output` is for the output matrix, or the token embedding
    that serves as one.
    """

    name: str
    file_type: int  #: general.file_type: llama.cpp's llama_ftype
    default: str
    good_for: str  #: one sentence for who has to choose
    rules: tuple[Rule, ...] = ()
    output: str = "Q6_K"
