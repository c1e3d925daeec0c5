"""What a mix is: a default type and an ordered table of exceptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gguf import LlamaFileType

from quantize_cli.mixes.roles import Role


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands among those of its role, and what the rules ask of the model."""

    role: Role
    ordinal: int  #: number among the tensors of this role, in file order
    count: int  #: how many of them the reference reckons with
    query_groups: int  #: attention heads per key-value head
    is_70b: bool  #: the reference's LLM_TYPE_70B
    tied: bool  #: the token embedding serves as the output matrix too


@dataclass(frozen=True, slots=True)
class Choice:
    """A type and the reason for it."""

    type: str
    reason: str
    instead_of: str | None = None  #: the type that the tensor's shape ruled out


@dataclass(frozen=True, slots=True)
class Rule:
    """An exception to a mix's default type: the first rule that fits a tensor decides."""

    roles: frozenset[Role]
    type: str
    reason: str
    when: Callable[[Place], bool] = lambda _place: True


@dataclass(frozen=True, slots=True)
class Mix:
    """A named way of giving every tensor of a model its type; `file_type` is its number in general.file_type."""

    name: str
    file_type: LlamaFileType
    default: str
    rules: tuple[Rule, ...] = ()
