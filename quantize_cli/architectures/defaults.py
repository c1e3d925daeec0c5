"""config.json in the form that the converter gets.

The converter does not read config.json itself: transformers does. The class of the model type renames keys and fills in
what the file leaves out. The facts about the classes are a data file, and `config_classes` applies them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from quantize_cli.architectures.config_classes.checks import check_types, check_values
from quantize_cli.architectures.config_classes.derived import fill_derived
from quantize_cli.architectures.config_classes.model_type import (
    ClassRefuses,
    Filling,
    ModelType,
    Values,
    model_type,
)
from quantize_cli.architectures.config_classes.rope import fill_rope_parameters
from quantize_cli.architectures.config_classes.steps import STEPS
from quantize_cli.architectures.reference_data import Json, read_data
from quantize_cli.errors import CheckpointError, shown

#: Configurations nest three deep at most: a model, its thinker, the text model of that.
MAX_DEPTH = 3

#: No classifier comes near this many.
MAX_LABELS = 100_000

#: Other names of the text model's configuration. A later one wins, as in the converter.
TEXT_CONFIGS = ("llm_config", "lm_config", "thinker_config", "language_config", "lfm")

#: Settings of text generation that every class drops. The converter would take this one for a context length.
GENERATION = ("max_length",)

#: Classes whose other nested configurations may be missing.
OPTIONAL = frozenset({"gemma4", "gemma4_unified"})

#: Classes that sort the keys of an old configuration without `text_config` into one.
FLAT = frozenset({"dots3_note", "glm5_next", "hunyuan_vl", "paddleocr_vl", "qwen2_5_vl", "qwen2_vl"})

#: Classes -> the older name of `text_config`, whose object lacks these keys of the top level.
OLDER_TEXT_CONFIG = {"unlimited_ocr": ("language_config", ("sliding_window",))}

#: Keys that stay where they are then.
TOP_LEVEL = ("architectures", "dtype", "id2label", "model_type", "num_labels", "torch_dtype", "transformers_version")


def with_defaults(config: Mapping[str, Json]) -> dict[str, Json]:
    """Return the hyperparameters of the text model that `config`, the object in config.json, describes.

    Keys are renamed and filled in as transformers does it for the model type. The text model's own values replace those
    of the top level. Apart from that, a config.json that transformers does not know or would refuse is not changed.

    Raises:
        CheckpointError: A number is too large to be true, or the text model is not described by an object.
    """
    loaded = _loaded(config)
    for key in TEXT_CONFIGS:
        if key in loaded:
            text = _object(loaded[key], key)
            loaded["text_config"] = text.get("text_config", {}) if key == "thinker_config" else text
    return {**loaded, **_object(loaded.get("text_config", {}), "text_config")}


def _object(value: Json, key: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise CheckpointError(
            f"config.json gives {key} as {shown(value)}, but it must be an object; download it again."
        )
    return value


def why_as_it_stands(config: Mapping[str, Json]) -> str | None:
    """Return why the class of the model type would refuse `config`, so that it is read without defaults, or None."""
    kind = _kind(config)
    try:
        if kind is not None:
            _filled(config, kind, depth=1)
    except ClassRefuses as error:
        return str(error)
    return None


def _loaded(config: Mapping[str, Json]) -> Values:
    kind = _kind(config)
    if kind is None:
        return dict(config)
    try:
        return _filled(config, kind, depth=1)
    except ClassRefuses:
        return dict(config)


def _kind(config: Mapping[str, Json]) -> ModelType | None:
    """Return the model type whose class fills in `config`, or None if it is read as it stands."""
    name, architectures = config.get("model_type"), config.get("architectures")
    if isinstance(architectures, list) and architectures:
        as_it_stands = read_data("defaults.json")["config_as_it_stands"]
        if architectures[0] in as_it_stands:
            return None
    return model_type(name) if isinstance(name, str) else None


def _filled(config: Mapping[str, Json], kind: ModelType, depth: int) -> Values:
    given = _renamed(config, kind)
    check_types(given, kind)
    constants = {key: value for key, value in kind.defaults.items() if key != "rope_parameters"}
    values = copy.deepcopy(constants) | given | {"model_type": kind.defaults.get("model_type", kind.name)}
    filling = Filling(kind, given, values)
    fill_derived(filling)
    _fill_sub_configs(filling, depth)
    for step in STEPS.get(kind.name, ()):
        step(filling)
    fill_rope_parameters(filling)
    _fill_labels(values)
    check_values(filling)
    return values


def _renamed(config: Mapping[str, Json], kind: ModelType) -> Values:
    """Return `config` with the keys of the class. A key's other spelling wins over the key."""
    kept = {key: value for key, value in config.items() if key not in kind.attribute_map and key not in GENERATION}
    return kept | {kind.attribute_map[key]: value for key, value in config.items() if key in kind.attribute_map}


def _fill_sub_configs(filling: Filling, depth: int) -> None:
    kind, values = filling.kind, filling.values
    for key, usual in kind.sub_configs.items():
        given = values.get(key)
        if given is None:
            if key != "text_config" and kind.name in OPTIONAL:
                values[key] = None
                continue
            given = _text_config(values, kind) if key == "text_config" else {}
        if not isinstance(given, dict) or depth == MAX_DEPTH:
            raise ClassRefuses(f"{key} is not an object")
        named = given.get("model_type", usual)
        own = usual.startswith(kind.name)  # a class of its own is the only one for that key
        sub_kind = model_type(named if isinstance(named, str) and not own else usual)
        if sub_kind is not None:
            values[key] = _filled(given, sub_kind, depth + 1)
        elif key == "text_config":
            raise ClassRefuses("transformers does not know the text model")


def _text_config(values: Values, kind: ModelType) -> Json:
    """Take what older files have in place of `text_config`."""
    if kind.name in OLDER_TEXT_CONFIG:
        older, beside = OLDER_TEXT_CONFIG[kind.name]
        text = values.pop(older, {})
        return {**text, **{key: values.pop(key) for key in beside if key in values}} if isinstance(text, dict) else text
    return _moved_keys(values, kind) if kind.name in FLAT else {}


def _moved_keys(values: Values, kind: ModelType) -> Values:
    own = {*kind.defaults, *kind.sub_configs, *TOP_LEVEL}
    return {key: values.pop(key) for key in tuple(values) if key not in own}


def _fill_labels(values: Values) -> None:
    labels, count = values.get("id2label"), values.pop("num_labels", 2)
    if isinstance(labels, dict) and all(key.isdecimal() and len(key) < 10 for key in labels):
        values["id2label"] = {int(key): label for key, label in labels.items()}
    elif labels is not None or type(count) is not int:
        raise ClassRefuses("the labels are not numbered")
    elif count > MAX_LABELS:
        raise CheckpointError(
            f"config.json gives num_labels as {shown(count)}, but no model has more than {MAX_LABELS}; download it "
            "again."
        )
    else:
        values["id2label"] = {number: f"LABEL_{number}" for number in range(count)}
