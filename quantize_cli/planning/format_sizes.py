"""The size of a model's file in every format, from one description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from quantize_cli.architectures.description import ModelDescription
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.header import TensorEntry, encode_header, padded
from quantize_cli.gguf_file.trailer import trailer_bytes
from quantize_cli.gguf_file.types import GGML_TYPES, UseOfImportance
from quantize_cli.mixes.base import Candidate, Choice, Mix
from quantize_cli.mixes.rules import choose_types
from quantize_cli.mixes.traits import ModelTraits
from quantize_cli.planning.metadata import final_metadata
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import candidates_of, check_decodable, in_file_order
from quantize_cli.planning.provenance import provenance_fields, with_provenance
from quantize_cli.planning.traits import traits_of


@dataclass(frozen=True, slots=True)
class FormatSize:
    """A model in one format; the sizes are None if it is refused whatever the options are."""

    format: str
    file_bytes: int | None  #: header and padding included; a file with an importance matrix also has keys that name it
    bits_per_weight: float | None  #: of the tensors' data
    fallbacks: int  #: tensors that get another type than the format's, because their rows are not whole blocks
    #: Options without which the format is refused: "imatrix", with which the size is computed, and "allow_requantize".
    needs: tuple[str, ...] = ()
    refusal: str | None = None  #: why the format does not fit the tensors


def format_sizes(
    description: ModelDescription, checkpoint: Checkpoint, mixes: Iterable[Mix], options: PlanOptions
) -> Iterator[FormatSize]:
    """Yield the size in each format, for one file; it is `Plan.file_bytes`.

    Args:
        description: The model, which llama.cpp loads.
        checkpoint: Where it comes from.
        mixes: The formats.
        options: Only their recipe counts: whether the files tell where they come from.
    """
    infos, provenance = checkpoint.infos, provenance_fields(checkpoint, options)
    recipes = in_file_order(description.recipes)
    candidates = candidates_of(recipes, infos)
    dtypes = [infos[recipe.sources[0]].dtype if recipe.sources else "F32" for recipe in recipes]
    weights = sum(math.prod(candidate.shape) for candidate in candidates)
    traits = traits_of(description.metadata)
    around = 0
    for mix in mixes:
        try:
            choices, imatrix = _choices(candidates, mix, traits)
        except (UnsupportedError, UsageError) as error:
            yield FormatSize(mix.name, None, None, fallbacks=0, refusal=str(error))
            continue
        # To encode a vocabulary takes up to a second, and only the values of fields with fixed sizes differ.
        around = around or _bytes_around(description, mix, candidates, provenance)
        sizes = [_nbytes(candidate.shape, choice.type) for candidate, choice in zip(candidates, choices, strict=True)]
        again = any(map(_requantizes, dtypes, choices))
        yield FormatSize(
            format=mix.name,
            file_bytes=around + sum(map(padded, sizes)),
            bits_per_weight=8 * sum(sizes) / max(weights, 1),
            fallbacks=sum(choice.instead_of is not None for choice in choices),
            needs=tuple(option for option, needed in (("imatrix", imatrix), ("allow_requantize", again)) if needed),
        )


def _choices(candidates: Sequence[Candidate], mix: Mix, traits: ModelTraits) -> tuple[list[Choice], bool]:
    """Return the tensors' types, and whether they need an importance matrix, with which they are chosen then.

    Raises:
        UnsupportedError, UsageError: The format does not fit the tensors.
    """
    choices = choose_types(candidates, mix, traits)
    if needs_importance := any(map(_needs_importance, choices)):
        choices = choose_types(candidates, mix, traits, has_importance=True)
    check_decodable(candidates, choices)
    return choices, needs_importance


def _needs_importance(choice: Choice) -> bool:
    return choice.requires_importance or GGML_TYPES[choice.type].importance is UseOfImportance.REQUIRED


def _requantizes(dtype: str, choice: Choice) -> bool:
    held = GGML_TYPES.get(dtype)
    return held is not None and held.quantized and dtype != choice.type


def _nbytes(shape: Sequence[int], type_name: str) -> int:
    return math.prod(shape[:-1]) * GGML_TYPES[type_name].row_bytes(shape[-1])


def _bytes_around(
    description: ModelDescription, mix: Mix, candidates: Sequence[Candidate], provenance: tuple[Field, ...]
) -> int:
    """Return the size of all but the tensor data; it is the same for all types of the tensors."""
    entries = [TensorEntry(candidate.name, candidate.shape, 0, 0) for candidate in candidates]
    metadata = final_metadata(description, mix, PlanOptions(), layers=0)
    header = encode_header(with_provenance(metadata, provenance), entries)
    return len(header) + (trailer_bytes(len(candidates)) if provenance else 0)
