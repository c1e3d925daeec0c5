"""The general.* metadata: the model's author, name, size, and sampling parameters.

It comes from the model card, generation_config.json, and the names of the model, as in `prepare_metadata` of the
reference's converter and `Metadata` of its gguf-py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeGuard

from quantize_cli.architectures.model_card import CARD, SOURCE_KEYS, first_present, gathered, read_model_card, sources
from quantize_cli.architectures.model_name import ModelName
from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_text
from quantize_cli.errors import CheckpointError, listed, shown
from quantize_cli.gguf_file.fields import Field, ValueType, array, field

_GENERATION_CONFIG = "generation_config.json"

#: The length of the longest name that is taken from config.json. The Hub's have at most 2 * 96 characters and a slash.
_MAX_NAME = 1000

#: Key after general.sampling. -> type, and names in generation_config.json; the first name that is present counts.
_SAMPLING = {
    "sequence": (ValueType.STRING, ("sequence",)),
    "top_k": (ValueType.INT32, ("top_k",)),
    "top_p": (ValueType.FLOAT32, ("top_p",)),
    "min_p": (ValueType.FLOAT32, ("min_p",)),
    "xtc_probability": (ValueType.FLOAT32, ("xtc_probability",)),
    "xtc_threshold": (ValueType.FLOAT32, ("xtc_threshold",)),
    "temp": (ValueType.FLOAT32, ("temperature",)),
    "penalty_last_n": (ValueType.INT32, ("penalty_last_n",)),
    "penalty_repeat": (ValueType.FLOAT32, ("penalty_repeat", "repetition_penalty")),
    "mirostat": (ValueType.INT32, ("mirostat",)),
    "mirostat_tau": (ValueType.FLOAT32, ("mirostat_tau",)),
    "mirostat_eta": (ValueType.FLOAT32, ("mirostat_eta",)),
}

#: Key after general. of a text -> names in the model card; the first name that is present and not null counts.
_TEXTS = {
    "name": ("name", "model_name"),
    "author": ("author", "model_author", "model_creator"),
    "version": ("version", "model_version"),
    "organization": ("organization", "model_organization"),
    "finetune": ("finetune", "model_finetune"),
    "basename": ("basename", "model_basename", "model_type"),
    "description": ("description", "model_description"),
    "size_label": ("size_label", "model_size_label"),
    "license": ("license",),
    "license.name": ("license_name",),
    "license.link": ("license_link",),
    "source.url": ("url", "model_url"),
    "source.doi": ("doi", "model_doi"),
    "source.uuid": ("uuid", "model_uuid"),
    "source.repo_url": ("repo_url", "model_repo_url"),
}

#: Key after general. of the model's sources -> names in the model card; the first name that is present counts.
_SOURCES = {
    "base_model": ("base_model", "base_models", "base_model_sources"),
    "dataset": ("datasets", "dataset", "dataset_sources"),
}

#: Key after general. of a list of texts -> names in the model card, whose items follow each other.
_LISTS = {"tags": ("tags", "pipeline_tag"), "languages": ("languages", "language")}

#: More than this many weights -> factor and unit in which a size label counts.
_UNITS = ((1e12, 1e-12, "T"), (1e9, 1e-9, "B"), (1e6, 1e-6, "M"), (-1, 1e-3, "K"))


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Numbers of weights, as `GGUFWriter.get_total_parameter_count` of the reference counts them."""

    total: int
    shared: int  #: outside the stacked tensors of experts
    expert: int  #: in one expert, all layers together
    expert_count: int  #: mean over the stacked tensors, rounded down; 0 if there are none

    @classmethod
    def of(cls, tensors: Iterable[tuple[str, tuple[int, ...]]]) -> ParameterCounts:
        """Count the weights of a model.

        Args:
            tensors: GGUF name and row-major shape of each tensor.
        """
        total = shared = expert = experts = stacked = 0
        for name, shape in tensors:
            size = math.prod(shape)
            total += size
            if "_exps." in name and len(shape) >= 3:
                count = shape[-2 if ".bias" in name else -3]
                expert += size // max(count, 1)
                experts += count
                stacked += 1
            else:
                shared += size
        return cls(total, shared, expert, experts // max(stacked, 1))

    @property
    def label(self) -> str:
        """The size in short, "8B", or "8x7B" with experts."""
        if self.expert_count:
            return f"{self.expert_count}x{_rounded(self.shared + self.expert)}"
        return _rounded(self.total)


@dataclass(frozen=True, slots=True)
class General:
    """The general.* keys, and notes for the user about what is left out."""

    fields: tuple[Field, ...]
    notes: tuple[str, ...]


def general_fields(sidecars: Sidecars, name: str, config: Mapping[str, Json], counts: ParameterCounts) -> General:
    """Return the general.* keys that follow general.architecture, in the reference's order.

    What the model card and generation_config.json have, but GGUF cannot hold, is left out: no model runs differently
    without it. The reference ends with an error there.

    Args:
        sidecars: The files beside the weights; README.md and generation_config.json may be missing.
        name: The checkpoint's name. The reference takes the folder's, but the folder of a Hub snapshot is named after
            a commit.
        config: config.json's own values, without defaults.
        counts: Numbers of weights of all GGUF tensors.

    Raises:
        CheckpointError: The name is not Unicode text.
    """
    card = read_model_card(sidecars)
    facts = {key: first_present(card.values, names) for key, names in _TEXTS.items()}
    for identity in _identities(name, config):
        told = ModelName.parse(identity, counts.total).facts()
        facts |= {key: value for key, value in told.items() if facts[key] is None}
    if facts["size_label"] is None and counts.total:
        facts["size_label"] = counts.label
    sampling = _Made(sidecars.where(_GENERATION_CONFIG), _sampling(_read_generation_config(sidecars)))
    authorship = _Made(sidecars.where(CARD), _authorship(facts, card.values, counts.total))
    return General(
        (field("general.type", ValueType.STRING, "model"), *sampling.fields, *authorship.fields),
        (*([] if card.note is None else [card.note]), *sampling.notes, *authorship.notes),
    )


def _identities(name: str, config: Mapping[str, Json]) -> Iterator[str]:
    """Yield the names that supply what the model card leaves out, the better one first."""
    path = config.get("_name_or_path")
    if not _is_text(name):
        raise CheckpointError(f"The model's name {shown(name)} is not Unicode text; rename its folder.")
    # More than one slash makes it a path on somebody's disk; what is not a short text cannot be a name.
    if _is_text(path) and len(path) <= _MAX_NAME and path.count("/") <= 1:
        yield path
    yield name


#: A call that makes a field, unless its value does not fit its type.
_Proposal: TypeAlias = "partial[Field]"


class _Made:
    """The fields that proposals make, and a note on those that are left out."""

    def __init__(self, where: str, proposals: Iterable[_Proposal]) -> None:
        made: list[Field] = []
        errors: list[str] = []
        for make in proposals:
            try:
                made.append(make())
            except ValueError as error:
                errors.append(str(error))
        self.fields = tuple(made)
        note = f"{where} has values that GGUF cannot hold, so they are left out: {listed(errors)}."
        self.notes = (note,) if errors else ()


def _sampling(generation: Mapping[str, Json]) -> Iterator[_Proposal]:
    for key, (type, names) in _SAMPLING.items():
        value = next((generation[name] for name in names if name in generation), None)
        if type is ValueType.STRING:
            yield from _text(f"general.sampling.{key}", value)
        elif value is not None:
            yield partial(field, f"general.sampling.{key}", type, value)


def _authorship(facts: Mapping[str, Json], card: Mapping[str, Json], parameters: int) -> Iterator[_Proposal]:
    for key, value in facts.items():
        yield from _text(f"general.{key}", _joined(value) if key == "license" else value)
    for key, names in _SOURCES.items():
        found = sources(card, names, parameters)
        if found is not None:
            yield partial(field, f"general.{key}.count", ValueType.UINT32, len(found))
            for number, source in enumerate(found):
                for part in SOURCE_KEYS:
                    yield from _text(f"general.{key}.{number}.{part}", source.get(part))
    for key, lists in _LISTS.items():
        items = gathered(card, lists)
        if items:
            yield partial(array, f"general.{key}", ValueType.STRING, items)


def _text(key: str, value: Json) -> Iterator[_Proposal]:
    """Propose a text, unless the value is empty, 0 or false, which the reference's writer leaves out."""
    if value:
        yield partial(field, key, ValueType.STRING, value)


def _joined(license: Json) -> Json:
    is_list = isinstance(license, list) and all(isinstance(item, str) for item in license)
    return ",".join(license) if is_list else license


def _read_generation_config(sidecars: Sidecars) -> Mapping[str, Json]:
    """Read generation_config.json; the result is empty if it is missing or, as in the reference, not JSON."""
    if not sidecars.has(_GENERATION_CONFIG):
        return {}
    try:
        values = json.loads(read_text(sidecars, _GENERATION_CONFIG))
    except (CheckpointError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_text(value: Json) -> TypeGuard[str]:
    """Tell whether a value is text that UTF-8 can hold; half of a surrogate pair is not."""
    return isinstance(value, str) and value == value.encode("utf-8", "ignore").decode("utf-8")


def _rounded(count: int) -> str:
    """Format a number of weights with its unit and, below 10 of the unit, with decimals: 494M, 1.5B, 0.00K."""
    factor, unit = next((factor, unit) for limit, factor, unit in _UNITS if count > limit)
    scaled = count * factor
    decimals = max(2 - len(str(round(scaled)).lstrip("0")), 0)
    return f"{scaled:.{decimals}f}{unit}"
