"""The data that distinguishes one model family from another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.foldings import Folding
from quantize_cli.architectures.maps import Map
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move
from quantize_cli.architectures.rows import Row
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Size, Sizes
from quantize_cli.tokenizers.vocabulary import Vocabulary

#: The way that is open to every language model that llama.cpp knows.
GGUF_WAY = (
    "if llama.cpp's converter knows the model (convert_hf_to_gguf.py MODEL --outtype bf16), quantize takes the GGUF "
    "file that it writes"
)

#: Moves and maps that depend on the model's sizes and on the tensor's row-major shape.
Moves: TypeAlias = Callable[[Sizes, tuple[int, ...]], tuple[Move, ...]]
Maps: TypeAlias = Callable[[Sizes, tuple[int, ...]], tuple[Map, ...]]
#: The layers that a statement is about.
Layers: TypeAlias = Callable[[Model], Iterable[int]]


def no_moves(_sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    """Return no moves: rows stay where they are."""
    return ()


def no_maps(_sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Map, ...]:
    """Return no maps: values stay what they are."""
    return ()


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor that a rule makes of a checkpoint tensor."""

    name: str | None = None  #: replaces the pattern in the tensor's name, a template as in re.sub; None keeps the name
    moves: Moves = no_moves
    maps: Maps = no_maps


@dataclass(frozen=True, slots=True)
class Naming:
    """The new name of checkpoint tensors whose name has `pattern`; None leaves them out."""

    pattern: str  #: regular expression, searched anywhere in the name
    name: Callable[[re.Match[str], Model], str | None]


def rename(pattern: str, template: str) -> Naming:
    """Return a naming that replaces the match by a template as in re.sub."""
    return Naming(pattern, lambda match, _model: re.sub(pattern, template, match.string))


def leave_out(pattern: str) -> Naming:
    """Return a naming that leaves tensors out."""
    return Naming(pattern, lambda _match, _model: None)


#: For families whose files in llama.cpp must not have an output matrix that is the embedding.
leave_out_tied_head = Naming(
    r"^(model\.)?lm_head\.", lambda match, model: None if model.config.get("tie_word_embeddings") else match.string
)


@dataclass(frozen=True, slots=True)
class Stack:
    """Tensors that become one: names that differ only in a number, from 0 on without a gap.

    Their shapes are equal; those that are joined may differ in rows.
    """

    pattern: str  #: regular expression of the whole name, with three groups: stack, number, rest
    joined: bool = False  #: whether rows follow each other in one dimension, or the stack is a new one


#: The tensors of single experts.
EXPERTS = Stack(r"(.*\.experts)\.(\d{1,9})\.(.+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A change of the tensors whose name has `pattern`; all rules that match apply, one after another."""

    pattern: str  #: regular expression, searched anywhere in the name
    outputs: tuple[Output, ...]


def move(pattern: str, moves: Moves) -> Rule:
    """Return a rule that rearranges rows."""
    return Rule(pattern, (Output(moves=moves),))


def change(pattern: str, *maps: Map) -> Rule:
    """Return a rule that changes values."""
    return Rule(pattern, (Output(maps=lambda _sizes, _shape: maps),))


def all_layers(model: Model) -> Iterable[int]:
    """Return the numbers of all layers except those that only predict further tokens."""
    return range(model.layers)


@dataclass(frozen=True, slots=True)
class Part:
    """GGUF tensors that some layers must have; names are without "blk.N."."""

    names: tuple[str, ...]
    layers: Layers = all_layers

    def among(self, layers: Layers) -> Part:
        """Return the same part for other layers."""
        return Part(self.names, layers)


@dataclass(frozen=True, slots=True)
class Family:
    """A model family."""

    architecture: str  #: GGUF name, "llama"
    metadata: tuple[Row, ...]
    demands: tuple[Demand, ...]  #: what llama.cpp demands of its keys, beside those of every architecture
    vocabulary: Vocabulary
    parts: tuple[Part, ...]  #: tensors that layers must have
    optional: tuple[Part, ...] = ()  #: tensors that layers may have; llama.cpp does not load a file with others
    outside: tuple[str, ...] = ("token_embd.weight", "output_norm.weight")  #: GGUF names of tensors outside the layers
    optional_outside: tuple[str, ...] = ("output.weight",)
    namings: tuple[Naming, ...] = ()
    #: Rows that the reference writes while it makes the tensors, before all other keys.
    of_tensors: tuple[Row, ...] = ()
    stacks: tuple[Stack, ...] = (EXPERTS,)
    rules: tuple[Rule, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)  #: over the common table of sizes.py
    #: Patterns of GGUF names, searched -> the type in the converter's own file, where it is not the usual one; None is
    #: that of all matrices. `{mtp}` in a pattern stands for the number of the first MTP layer.
    stored_types: tuple[tuple[str, str | None], ...] = ()
    shapes: Mapping[str, Shape] = field(default_factory=dict)  #: over the common table of shapes.py
    extra_layers: Callable[[Model], int] = lambda _model: 0  #: layers that only predict further tokens
    computed: Callable[[Sizes], tuple[TensorRecipe, ...]] = lambda _sizes: ()
    needed: tuple[str, ...] = ("vocab", "hidden", "heads", "ffn")  #: sizes that config.json must give
    #: Where factors can move from what makes a channel to what reads it; none is here that was not checked with random
    #: factors on a small model (tests/calibrate/test_folding.py).
    foldings: tuple[Folding, ...] = ()
    #: The family of models that share the class but are something else, such as rerankers among chat models.
    special: Callable[[Family, Model], Family | None] = lambda _family, _model: None
    check: Callable[[Model], None] = lambda _model: None  #: raises UnsupportedError for models that only look alike
