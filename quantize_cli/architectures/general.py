"""The general.* metadata: the model's author, name, size, and sampling parameters.

It comes from the model card, generation_config.json, and the names of the model, as in `prepare_metadata` of the
reference's converter and `Metadata` of its gguf-py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from quantize_cli.architectures.model_card import CARD, SOURCE_KEYS, first_present, gathered, read_model_card, sources
from quantize_cli.architectures.model_name import ModelName
from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_text
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType, array, field

_GENERATION_CONFIG = "generation_config.json"

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


def general_fields(
    sidecars: Sidecars, name: str, config: Mapping[str, Json], counts: ParameterCounts
) -> tuple[Field, ...]:
    """Return the general.* keys that follow general.architecture, in the reference's order.

    Args:
        sidecars: The files beside the weights; README.md and generation_config.json may be missing.
        name: The checkpoint's name. The reference takes the folder's, but the folder of a Hub snapshot is named after
            a commit.
        config: config.json's own values, without defaults.
        counts: Numbers of weights of all GGUF tensors.

    Raises:
        CheckpointError: README.md or config.json cannot be used, or one of the files has a value that does not fit
            its type.
    """
    card = read_model_card(sidecars)
    facts = {key: first_present(card, names) for key, names in _TEXTS.items()}
    for identity in _identities(sidecars, name, config):
        told = ModelName.parse(identity, counts.total).facts()
        facts |= {key: value for key, value in told.items() if facts[key] is None}
    if facts["size_label"] is None and counts.total:
        facts["size_label"] = counts.label
    return (
        field("general.type", ValueType.STRING, "model"),
        *_checked(_sampling(_read_generation_config(sidecars)), sidecars.where(_GENERATION_CONFIG)),
        *_checked(_authorship(facts, card, counts.total), sidecars.where(CARD)),
    )


def _identities(sidecars: Sidecars, name: str, config: Mapping[str, Json]) -> Iterator[str]:
    """Yield the names that supply what the model card leaves out, the better one first."""
    path = config.get("_name_or_path")
    if path is not None and not _is_text(path):
        raise CheckpointError(
            f"{sidecars.where('config.json')} gives _name_or_path as {shown(path)}, but it must be text; "
            "correct or delete it."
        )
    if not _is_text(name):
        raise CheckpointError(f"The model's name {shown(name)} is not Unicode text; rename its folder.")
    if path is not None and path.count("/") <= 1:  # more of them make it a path on somebody's disk
        yield path
    yield name


def _sampling(generation: Mapping[str, Json]) -> Iterator[Field]:
    for key, (type, names) in _SAMPLING.items():
        value = next((generation[name] for name in names if name in generation), None)
        if type is ValueType.STRING:
            yield from _text(f"general.sampling.{key}", value)
        elif value is not None:
            yield field(f"general.sampling.{key}", type, value)


def _authorship(facts: Mapping[str, Json], card: Mapping[str, Json], parameters: int) -> Iterator[Field]:
    for key, value in facts.items():
        yield from _text(f"general.{key}", _joined(value) if key == "license" else value)
    for key, names in _SOURCES.items():
        found = sources(card, names, parameters)
        if found is not None:
            yield field(f"general.{key}.count", ValueType.UINT32, len(found))
            for number, source in enumerate(found):
                for part in SOURCE_KEYS:
                    yield from _text(f"general.{key}.{number}.{part}", source.get(part))
    for key, lists in _LISTS.items():
        items = gathered(card, lists)
        if items:
            yield array(f"general.{key}", ValueType.STRING, items)


def _text(key: str, value: Json) -> Iterator[Field]:
    """Yield a text, unless the value is empty, 0 or false, which the reference's writer leaves out."""
    if value:
        yield field(key, ValueType.STRING, value)


def _joined(license: Json) -> Json:
    is_list = isinstance(license, list) and all(isinstance(item, str) for item in license)
    return ",".join(license) if is_list else license


def _checked(fields: Iterator[Field], where: str) -> tuple[Field, ...]:
    try:
        return tuple(fields)
    except ValueError as error:
        raise CheckpointError(
            f"{where} has a value that GGUF cannot hold ({error!s:.200}); correct, quote or delete it."
        ) from error


def _read_generation_config(sidecars: Sidecars) -> Mapping[str, Json]:
    """Read generation_config.json; the result is empty if it is missing or, as in the reference, not JSON."""
    if not sidecars.has(_GENERATION_CONFIG):
        return {}
    try:
        values = json.loads(read_text(sidecars, _GENERATION_CONFIG))
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_text(value: Json) -> bool:
    """Tell whether a value is text that UTF-8 can hold; half of a surrogate pair is not."""
    return isinstance(value, str) and value == value.encode("utf-8", "ignore").decode("utf-8")


def _rounded(count: int) -> str:
    """Format a number of weights with its unit and, below 10 of the unit, with decimals: 494M, 1.5B, 0.00K."""
    factor, unit = next((factor, unit) for limit, factor, unit in _UNITS if count > limit)
    scaled = count * factor
    decimals = max(2 - len(str(round(scaled)).lstrip("0")), 0)
    return f"{scaled:.{decimals}f}{unit}"
