"""From models and a memory to what fits; no weight is read or downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantize_cli.advice.candidates import candidates
from quantize_cli.advice.measured import MeasuredFile, Measurements
from quantize_cli.advice.model import Advice, Offer
from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.description import ModelDescription
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UnsupportedError, UsageError, listed
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.inspection.facts import hyperparameters
from quantize_cli.inspection.model import Parameters
from quantize_cli.inspection.parameters import parameters_of
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.observer import Observer
from quantize_cli.planning.format_sizes import FormatSize
from quantize_cli.planning.memory import memory_to_run
from quantize_cli.planning.planner import check_description
from quantize_cli.report.figures import size


@dataclass(frozen=True, slots=True)
class Terms:
    """What a file must fit."""

    limit: int  #: bytes of memory
    context: int | None = None  #: tokens; None is each model's own number, at most the usual
    measured: tuple[Measurements, ...] = ()


@dataclass(frozen=True, slots=True)
class _Model:
    """One model as its headers show it."""

    checkpoint: Checkpoint
    description: ModelDescription
    parameters: Parameters
    terms: Terms


def advised(models: Sequence[str | Path], terms: Terms, observer: Observer) -> Advice:
    """Find the files of the models that run in the memory.

    Raises:
        QuantizeError: A model cannot be opened or converted.
        UsageError: No file fits, or measurements are of none of the models.
    """
    found: list[tuple[str, list[Offer]]] = []
    unused = {held.original: held for held in terms.measured}
    for model in models:
        with closing(open_checkpoint(model, None, observer)) as checkpoint:
            measured = [held for held in terms.measured if _is(held.original, model, checkpoint)]
            for held in measured:
                unused.pop(held.original, None)
            files = [file for held in measured for file in held.files]
            found.append((checkpoint.location, list(_offers(_read(checkpoint, terms), files))))
    for held in unused.values():
        raise UsageError(f"{held.path} is about {held.original}, which is not among the models; name it, too.")
    return _advice(found, terms)


def _read(checkpoint: Checkpoint, terms: Terms) -> _Model:
    description = describe(checkpoint)
    check_description(description)
    fields = {field.key: field for field in description.metadata}
    sizes = hyperparameters(fields, str(fields["general.architecture"].value))
    return _Model(checkpoint, description, parameters_of(description.recipes, sizes), terms)


def _is(original: str, model: str | Path, checkpoint: Checkpoint) -> bool:
    """Tell whether the original of an evaluation is the model."""
    return original == checkpoint.repository or os.path.realpath(original) == os.path.realpath(model)


def _offers(model: _Model, measured: Sequence[MeasuredFile]) -> Iterator[Offer]:
    """Yield what a model can be run from, if its memory is known; files that were measured replace their formats."""
    if isinstance(model.checkpoint, GgufCheckpoint) and _is_quantized(model.checkpoint):
        formats = [_as_it_stands(model, model.checkpoint.metadata)]
    else:
        formats = [_of_format(model, held) for held in candidates(model.description, model.checkpoint)]
    if not formats:
        raise UnsupportedError(
            f"{model.checkpoint.location} is quantized in a form that no format keeps; name the original model."
        )
    known = {file.format for file in measured if file.format is not None}
    offers = [offer for offer in formats if offer is not None and offer.format not in known]
    yield from offers
    yield from filter(None, (_of_file(model, file) for file in measured))


def _is_quantized(checkpoint: GgufCheckpoint) -> bool:
    return any(GGML_TYPES[info.dtype].quantized for info in checkpoint.infos.values())


def _as_it_stands(model: _Model, metadata: Sequence[Field]) -> Offer | None:
    """Return a finished GGUF file, with the format that its metadata state."""
    infos = model.checkpoint.infos.values()
    number = next((field.value for field in metadata if field.key == "general.file_type"), None)
    return _offer(
        model,
        sum(file.nbytes for file in model.checkpoint.source_files),
        format=next((mix.name for mix in FORMATS.values() if mix.file_type == number), None),
        file=model.checkpoint.location,
        bits_per_weight=8 * sum(info.nbytes for info in infos) / sum(info.elements for info in infos),
    )


def _of_format(model: _Model, held: FormatSize) -> Offer | None:
    return _offer(
        model,
        held.file_bytes or 0,
        format=held.format,
        bits_per_weight=held.bits_per_weight or 0,
        needs=held.needs,
    )


def _of_file(model: _Model, file: MeasuredFile) -> Offer | None:
    return _offer(
        model,
        file.nbytes,
        format=file.format,
        file=file.file,
        bits_per_weight=file.bits_per_weight,
        mean_kld=file.mean_kld,
        mean_kld_error=file.mean_kld_error,
    )


def _offer(model: _Model, file_bytes: int, **facts: Any) -> Offer | None:
    """Return an offer, or None if it is not known what llama.cpp keeps of a context."""
    memory = memory_to_run(model.description.metadata, file_bytes, model.terms.context)
    if memory is None:
        return None
    return Offer(
        model=model.checkpoint.name,
        location=model.checkpoint.location,
        parameters=model.parameters.total,
        active_parameters=model.parameters.active,
        file_bytes=file_bytes,
        memory=memory,
        **facts,
    )


def _advice(found: Sequence[tuple[str, Sequence[Offer]]], terms: Terms) -> Advice:
    """Sort the offers by what people want: the largest model, and its most bits."""
    by_size = sorted(found, key=lambda held: -max((offer.parameters for offer in held[1]), default=0))
    fitting, too_large = [], []
    for _, offers in by_size:
        of_model = [offer for offer in offers if offer.memory.total <= terms.limit]
        fitting += sorted(of_model, key=lambda offer: (-offer.bits_per_weight, -offer.file_bytes))
        if offers and not of_model:
            too_large.append(min(offers, key=lambda offer: offer.memory.total))
    unknown = tuple(location for location, offers in found if not offers)
    if not fitting:
        raise _nothing(too_large, unknown, terms.limit)
    return Advice(terms.limit, tuple(fitting), tuple(too_large), unknown)


def _nothing(too_large: Sequence[Offer], unknown: Sequence[str], limit: int) -> UsageError | UnsupportedError:
    if not too_large:
        return UnsupportedError(
            f"It is not known what llama.cpp keeps of a context for {listed(unknown)}; compare the sizes that "
            "`quantize plan` shows with your memory."
        )
    least = min(too_large, key=lambda offer: offer.memory.total)
    what = least.file or f"{least.model} as {least.format}"
    return UsageError(
        f"Nothing fits into {size(limit)}: the smallest is {what}, which takes about {size(least.memory.total)} with a "
        f"context of {least.memory.context:,} tokens; give more memory, a smaller --context or a smaller model."
    )
