"""From a checkpoint to the description of its GGUF file; no weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quantize_cli.architectures.defaults import why_as_it_stands
from quantize_cli.architectures.description import ModelDescription
from quantize_cli.architectures.examine import EMBEDDING, RawModel, examine
from quantize_cli.architectures.families.table import BASE_CLASSES, CLASSES_OF_TYPES, FAMILIES
from quantize_cli.architectures.from_gguf import describe_gguf
from quantize_cli.architectures.general import ParameterCounts, general_fields
from quantize_cli.architectures.origin import Origin
from quantize_cli.architectures.recipes import tensor_recipes
from quantize_cli.architectures.rows import fields_of, names_of
from quantize_cli.architectures.small_tensors import read_small
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.sidecars import Json, read_object
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError, shown
from quantize_cli.gguf_file.fields import ValueType, field, merged
from quantize_cli.tokenizers.vocabulary import read_vocabulary

#: What a user has to know of a config.json that transformers would not load.
_AS_IT_STANDS = "is read without the defaults of its model type, because {reason}"


def describe(checkpoint: Checkpoint, pre_tokenizer: str | None = None) -> ModelDescription:
    """Describe everything about the GGUF file of `checkpoint` that does not depend on the target format.

    The metadata lacks general.quantization_version and general.file_type, which belong at its end.

    Args:
        checkpoint: The model.
        pre_tokenizer: llama.cpp's name of the pre-tokenizer; None is the recognised one.

    Raises:
        CheckpointError: config.json is missing or damaged, or tensors are missing or contradict it.
        UnsupportedError: This version cannot convert the architecture, a tensor or its dtype.
        UsageError: The named pre-tokenizer is unknown, or the model does not have one to choose.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        if pre_tokenizer is not None:
            raise UsageError(
                f"{checkpoint.name} is a GGUF model, which names its pre-tokenizer itself; leave --pre-tokenizer out."
            )
        return describe_gguf(checkpoint)
    values = _read_config(checkpoint)
    try:
        return _described(checkpoint, values, pre_tokenizer)
    except (CheckpointError, UnsupportedError) as error:
        reason = why_as_it_stands(values)
        if reason is None or f"gives {reason.partition(' ')[0]} as" in str(error):  # it is about the same value
            raise
        raise type(error)(f"{str(error)[:-1]} (config.json {_AS_IT_STANDS.format(reason=reason)}).") from error


def tokenizer_class(checkpoint: Checkpoint) -> str | None:
    """Return the tokenizer class of transformers that a checkpoint's family fixes, which overrides that of its files.

    Raises:
        CheckpointError, UnsupportedError: See `describe`.
    """
    class_name, _ = _class_name(_read_config(checkpoint), checkpoint.sidecars.where("config.json"))
    return FAMILIES[BASE_CLASSES.get(class_name, class_name)].vocabulary.hf_class


def _described(checkpoint: Checkpoint, values: dict[str, Json], pre_tokenizer: str | None) -> ModelDescription:
    class_name, notes = _class_name(values, checkpoint.sidecars.where("config.json"))
    family = FAMILIES[BASE_CLASSES.get(class_name, class_name)]
    raw = RawModel(checkpoint.name, family, class_name, values, checkpoint.sidecars, checkpoint.infos)
    family = family.special(family, raw.model()) or family
    found = examine(replace(raw, family=family, read=lambda name: read_small(checkpoint, name)))
    family.check(found.model)
    if found.faulty:
        from quantize_cli.architectures.diagnosis.diagnose import diagnose  # most runs need no diagnosis

        raise diagnose(found)
    model, recipes = found.model, tensor_recipes(found)
    counts = ParameterCounts.of((recipe.name, recipe.shape) for recipe in recipes)
    general = general_fields(model.sidecars, model.name, values, counts)
    rows = next((recipe.shape[0] for recipe in recipes if recipe.name == EMBEDDING), None)
    vocabulary = read_vocabulary(family.vocabulary, model.sidecars, model.config.values, pre_tokenizer, rows=rows)
    fields = (
        field("general.architecture", ValueType.STRING, family.architecture),
        *fields_of(family.of_tensors, model),
        *general.fields,
        *fields_of(family.metadata, model),
        *vocabulary.fields,
    )
    origin = Origin(model.config.where, names_of(family.metadata, family.architecture))
    reason = why_as_it_stands(values)
    as_it_stands = [] if reason is None else [f"{origin.where} {_AS_IT_STANDS.format(reason=reason)}."]
    told = (*notes, *as_it_stands, *general.notes, *vocabulary.notes)
    return ModelDescription(merged(fields), recipes, origin, told, vocabulary.recognised_by)


def _read_config(checkpoint: Checkpoint) -> dict[str, Json]:
    """Read config.json as it stands."""
    if not checkpoint.sidecars.has("config.json"):
        from quantize_cli.architectures.diagnosis.classes import no_config

        raise no_config(checkpoint.sidecars)
    return read_object(checkpoint.sidecars, "config.json")


def _class_name(values: Mapping[str, Json], where: str) -> tuple[str, tuple[str, ...]]:
    """Return the class of the text part, or that of the whole model if the text part has none, and notes about it."""
    text = values.get("text_config")
    parts = (text if isinstance(text, dict) else {}, values)
    name = next((name for part in parts if (name := _named_class(part, where)) is not None), None)
    if name is None:
        kinds = [part.get("model_type") for part in (values, *parts[:1])]
        kind = next((kind for kind in kinds if isinstance(kind, str) and kind in CLASSES_OF_TYPES), None)
        if kind is None:
            from quantize_cli.architectures.diagnosis.classes import unnamed_class

            raise unnamed_class(values, where)
        name = CLASSES_OF_TYPES[kind]
        return name, (f"{where} lacks architectures, so its model_type, {kind}, is taken for a {name}.",)
    if name not in FAMILIES and name not in BASE_CLASSES:
        from quantize_cli.architectures.diagnosis.classes import unsupported_class

        raise unsupported_class(name, where)
    return name, ()


def _named_class(values: Mapping[str, Json], where: str) -> str | None:
    classes = values.get("architectures")
    if classes is None or classes == []:
        return None
    if not isinstance(classes, list) or not isinstance(classes[0], str):
        raise CheckpointError(
            f"{where} gives architectures as {shown(classes)}, but it must be a list with the name of a class; correct "
            "it, or take the config.json of the model again."
        )
    return classes[0]
