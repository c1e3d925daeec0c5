"""The facts by which users choose between formats."""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.gguf_file.types import GGML_TYPES, UseOfImportance
from quantize_cli.mixes.base import Candidate, Mix
from quantize_cli.mixes.rules import choose_types
from quantize_cli.mixes.tables import ALIASES, FORMATS
from quantize_cli.mixes.traits import ModelTraits

#: The model by which formats are compared: its layers, and the row-major shapes of a layer's matrices.
MODEL = "Llama 3 8B"
_LAYERS = 32
_TRAITS = ModelTraits.of("llama", _LAYERS, 32, 8)
_LAYER = {
    "attn_k": (1024, 4096),
    "attn_output": (4096, 4096),
    "attn_q": (4096, 4096),
    "attn_v": (1024, 4096),
    "ffn_down": (4096, 14336),
    "ffn_gate": (14336, 4096),
    "ffn_up": (14336, 4096),
}
_VOCABULARY = {"output": (128256, 4096), "token_embd": (128256, 4096)}


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """One line of the list."""

    name: str
    aliases: tuple[str, ...]
    type: str  #: GGML name of its main type
    block: int  #: weights in a block of that type
    bits_per_weight: float  #: of that type, scales included
    model_bits_per_weight: float  #: of MODEL's matrices, other types that are mixed in included. It is computed without
    #: an importance matrix, which changes a few types in some formats, unless the format needs one
    importance: str  #: whether an importance matrix is "needed", "helps" or is "ignored"
    good_for: str


def catalogue() -> list[FormatFacts]:
    """List every format, from the most bits per weight of MODEL to the fewest."""
    return sorted(map(_facts, FORMATS.values()), key=lambda facts: -facts.model_bits_per_weight)


def _facts(mix: Mix) -> FormatFacts:
    names = [*(f"{name}.weight" for name in _VOCABULARY)]
    shapes = [*_VOCABULARY.values()]
    for layer in range(_LAYERS):
        names += [f"blk.{layer}.{name}.weight" for name in _LAYER]
        shapes += _LAYER.values()
    candidates = [Candidate(name, shape) for name, shape in zip(names, shapes, strict=True)]
    choices = choose_types(candidates, mix, _TRAITS)
    if needed := any(choice.requires_importance for choice in choices):
        choices = choose_types(candidates, mix, _TRAITS, has_importance=True)
    types = [GGML_TYPES[choice.type] for choice in choices]
    nbytes = sum(rows * held.row_bytes(columns) for (rows, columns), held in zip(shapes, types, strict=True))
    weights = sum(rows * columns for rows, columns in shapes)
    main = GGML_TYPES[mix.default]
    return FormatFacts(
        name=mix.name,
        aliases=tuple(alias for alias, name in ALIASES.items() if name == mix.name),
        type=mix.default,
        block=main.block_size,
        bits_per_weight=main.block_bytes * 8 / main.block_size,
        model_bits_per_weight=nbytes * 8 / weights,
        importance="needed" if needed else _use_of_importance(mix),
        good_for=mix.good_for,
    )


def _use_of_importance(mix: Mix) -> str:
    return "ignored" if GGML_TYPES[mix.default].importance is UseOfImportance.NONE else "helps"
