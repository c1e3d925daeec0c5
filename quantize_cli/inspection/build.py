"""From a checkpoint to everything that is known of it; no weight is read or downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.description import ModelDescription
from quantize_cli.checkpoints.base import FLOAT_DTYPES, Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.sidecars import Json
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.inspection import facts, stated
from quantize_cli.inspection.model import Hyperparameters, Inspection, Parameters, Quantization, Source
from quantize_cli.inspection.parameters import parameters_of
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.format_sizes import format_sizes
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import check_description
from quantize_cli.planning.provenance import usual_options


def inspected(checkpoint: Checkpoint, pre_tokenizer: str | None = None) -> Inspection:
    """Find out everything that headers tell of a model; one that cannot be converted has a `refusal`.

    Raises:
        UsageError: The named pre-tokenizer is unknown, or the model does not have one to choose.
    """
    values = {} if isinstance(checkpoint, GgufCheckpoint) else stated.read_config(checkpoint)
    try:
        description = describe(checkpoint, pre_tokenizer)
        check_description(description)
    except (CheckpointError, UnsupportedError) as error:
        return Inspection(**_of_any(checkpoint, values), formats=(), notes=(), refusal=error)
    return Inspection(**_of_described(checkpoint, description, values, usual_options(pre_tokenizer)))


def _of_described(
    checkpoint: Checkpoint, description: ModelDescription, values: Mapping[str, Json], options: PlanOptions
) -> dict[str, Any]:
    fields = {field.key: field for field in description.metadata}
    architecture = str(fields["general.architecture"].value)
    sizes = facts.hyperparameters(fields, architecture)
    by = "file" if isinstance(checkpoint, GgufCheckpoint) else description.recognised_by
    return {
        **_of_files(checkpoint, values),
        "architecture": architecture,
        "parameters": parameters_of(description.recipes, sizes),
        "hyperparameters": sizes,
        "tokenizer": facts.tokenizer(fields, by),
        "formats": tuple(
            sorted(
                format_sizes(description, checkpoint, FORMATS.values(), options),
                key=lambda held: -(held.file_bytes or 0),
            )
        ),
        "notes": description.notes,
    }


def _of_any(checkpoint: Checkpoint, values: Mapping[str, Json]) -> dict[str, Any]:
    """Return what is known of a model that cannot be converted."""
    files = _of_files(checkpoint, values)
    fields, architecture = _metadata(checkpoint, values)
    return {
        **files,
        "architecture": stated.architecture(files["class_name"]) if architecture == stated.ANY else architecture,
        "parameters": _parameters(checkpoint),
        "hyperparameters": _hyperparameters(fields, architecture),
        "tokenizer": None,
    }


def _metadata(checkpoint: Checkpoint, values: Mapping[str, Json]) -> tuple[Mapping[str, Field], str]:
    if not isinstance(checkpoint, GgufCheckpoint):
        return {field.key: field for field in stated.common_fields(values, checkpoint)}, stated.ANY
    fields = {field.key: field for field in checkpoint.metadata}
    named = fields.get("general.architecture")
    return fields, stated.ANY if named is None or not isinstance(named.value, str) else named.value


def _hyperparameters(fields: Mapping[str, Field], architecture: str) -> Hyperparameters:
    try:
        return facts.hyperparameters(fields, architecture)
    except (TypeError, ValueError):  # a GGUF file that was refused may hold text in place of a number
        return Hyperparameters()


def _parameters(checkpoint: Checkpoint) -> Parameters | None:
    """Return the number of all plain weights; packed ones cannot be counted without what packed them."""
    infos = checkpoint.infos.values()
    if not all(info.dtype in FLOAT_DTYPES for info in infos):
        return None
    return Parameters(total=sum(info.elements for info in infos), active=None, experts=None, mtp=None)


def _of_files(checkpoint: Checkpoint, values: Mapping[str, Json]) -> dict[str, Any]:
    """Return what the files tell, whatever the model is."""
    infos = [part for info in checkpoint.infos.values() for part in info.in_files]
    return {
        "model": checkpoint.name,
        "source": Source(
            location=checkpoint.location,
            repository=checkpoint.repository,
            commit=checkpoint.commit,
            files=len({info.file for info in infos}),
            missing_bytes=sum(checkpoint.missing.values()),
        ),
        "class_name": stated.class_name(values),
        "dtypes": facts.dtypes(infos),
        "quantization": _quantization(checkpoint, values),
    }


def _quantization(checkpoint: Checkpoint, values: Mapping[str, Json]) -> Quantization | None:
    found = {info.dtype for info in checkpoint.infos.values()}
    types = tuple(name for name, held in GGML_TYPES.items() if held.quantized and name in found)
    method, settings = stated.quantization(values) or (None, {})
    if not types and not settings and method is None:
        return None
    return Quantization(method, settings, types, _format(checkpoint) if types else None)


def _format(checkpoint: Checkpoint) -> str | None:
    """Return the format that a GGUF file states."""
    if not isinstance(checkpoint, GgufCheckpoint):
        return None
    number = next((field.value for field in checkpoint.metadata if field.key == "general.file_type"), None)
    return next((mix.name for mix in FORMATS.values() if mix.file_type == number), None)
