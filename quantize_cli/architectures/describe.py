"""From a checkpoint to the description of its GGUF file; no weight is read."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.defaults import with_defaults
from quantize_cli.architectures.description import ModelDescription
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.from_gguf import describe_gguf
from quantize_cli.architectures.general import ParameterCounts, general_fields
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.recipes import EMBEDDING, tensor_recipes
from quantize_cli.architectures.rows import fields_of
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.sidecars import Json, read_object
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError
from quantize_cli.gguf_file.fields import ValueType, field, merged
from quantize_cli.tokenizers.vocabulary import read_vocabulary


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
    family = _family(values, checkpoint.sidecars.where("config.json"))
    model = _model(checkpoint, family, values)
    family.check(model)
    sizes = Sizes(model, family.sizes)
    for symbol in family.needed:
        sizes.known(symbol)
    recipes = tensor_recipes(family, model, sizes)
    counts = ParameterCounts.of((recipe.name, recipe.shape) for recipe in recipes)
    rows = next((recipe.shape[0] for recipe in recipes if recipe.name == EMBEDDING), None)
    vocabulary = read_vocabulary(family.vocabulary, model.sidecars, model.config.values, pre_tokenizer, rows=rows)
    fields = (
        field("general.architecture", ValueType.STRING, family.architecture),
        *general_fields(model.sidecars, model.name, values, counts),
        *fields_of(family.metadata, model),
        *vocabulary.fields,
    )
    return ModelDescription(merged(fields), recipes, vocabulary.notes)


def _read_config(checkpoint: Checkpoint) -> dict[str, Json]:
    """Read config.json as it stands."""
    if not checkpoint.sidecars.has("config.json"):
        raise CheckpointError(
            f"{checkpoint.sidecars.where('config.json')} is missing, but the tensors cannot be understood without it; "
            "download it too."
        )
    return read_object(checkpoint.sidecars, "config.json")


def _model(checkpoint: Checkpoint, family: Family, values: dict[str, Json]) -> Model:
    config = Config(checkpoint.sidecars.where("config.json"), with_defaults(values))
    model = Model(checkpoint.name, family.architecture, config, checkpoint.sidecars, checkpoint.infos)
    return replace(model, extra_layers=family.extra_layers(model))


def _family(values: dict[str, Json], where: str) -> Family:
    """Find the family by the class of the text part, or by that of the whole model if the text part has none."""
    text = values.get("text_config")
    classes = [_class(part) for part in (text if isinstance(text, dict) else {}, values)]
    name = next((name for name in classes if name is not None), None)
    if name is None:
        raise CheckpointError(f"{where} lacks architectures, which names the model's family; download it again.")
    if name not in FAMILIES:
        raise UnsupportedError(
            f"{where} names the architecture {name!r:.80}, which is not supported; take a model of one of these: "
            f"{', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def _class(values: dict[str, Json]) -> str | None:
    classes = values.get("architectures")
    if isinstance(classes, list) and classes:
        return classes[0] if isinstance(classes[0], str) else repr(classes[0])
    return None
