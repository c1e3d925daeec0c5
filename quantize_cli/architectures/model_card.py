"""The front matter of README.md, the model card: the model's author, sources and license. All of it is untrusted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import yaml

from quantize_cli.architectures.model_name import ModelName
from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_text
from quantize_cli.errors import CheckpointError, shown

CARD = "README.md"

#: Room for the results of about 3,000 benchmarks. The slowest text of this length takes 5 seconds.
MAX_CHARACTERS = 1 << 20

#: The deepest nesting; benchmarks nest 8 deep. LibYAML's parser would overflow the stack.
MAX_DEPTH = 100

#: Python's own limit for decimal numbers; PyYAML's numbers to the base 60 take quadratic time.
_MAX_DIGITS = 4300
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

#: Exceptions of PyYAML's constructors for values that do not fit their tags, and for endless nesting.
_DAMAGED = (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)

#: PyYAML's safe loader in C, which is ten times as fast, or in Python where PyYAML was built without LibYAML.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: A model or data set on the Hub.
_HUB_ADDRESS = re.compile(r"https?://huggingface\.co/([^/]+/[^/]+)")

#: Keys of the description of a base model or data set, in GGUF's order.
SOURCE_KEYS = ("name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url")


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """PyYAML's safe loader, whose numbers are bounded."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            raise _found("a number without end", node)
        return str(super().construct_scalar(node))


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The front matter, and a note for the user if it cannot be used."""

    values: Mapping[str, Json]
    note: str | None = None


def read_model_card(sidecars: Sidecars) -> ModelCard:
    """Read the front matter of README.md; it is empty if the file or a mapping in it is missing or cannot be used.

    A model is not refused for its card, because it runs without one.
    """
    if not sidecars.has(CARD):
        return ModelCard({})
    try:
        return ModelCard(_parsed(_front_matter(read_text(sidecars, CARD))))
    except CheckpointError as error:
        return ModelCard({}, str(error))
    except _DAMAGED as error:
        return ModelCard(
            {},
            f"{sidecars.where(CARD)} has a front matter that cannot be used ({_reason(error)}), so the file does not "
            "tell the model's author, license and tags.",
        )


def _parsed(text: str) -> Mapping[str, Json]:
    """Parse YAML with work that is bounded by `MAX_CHARACTERS`; raises one of `_DAMAGED`."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has more than {MAX_CHARACTERS:,} characters")
    _check_depth(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        if _size(node, {}) > MAX_CHARACTERS:
            raise _found("its aliases unfold to too many characters", node)
        card = loader.construct_document(node)
    finally:
        loader.dispose()
    return card if isinstance(card, dict) else {}


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _found("it is nested too deeply", event)


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Count characters and nodes, those behind an alias each time; infinite if a node holds itself.

    Args:
        node: Where to begin.
        known: The sizes that have been counted, by the identity of the node.
    """
    if id(node) not in known:
        known[id(node)] = math.inf  # while it is counted
        if isinstance(node, yaml.ScalarNode):
            size = 1.0 + len(node.value)
        else:
            parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
            size = 1.0 + sum(_size(part, known) for part in parts)
        known[id(node)] = size
    return known[id(node)]


def _found(problem: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    error = yaml.MarkedYAMLError(problem=problem)
    error.problem_mark = place.start_mark  # type: ignore[assignment]  # the loaders in C have a class of their own
    return error


def first_present(card: Mapping[str, Json], names: tuple[str, ...]) -> Json:
    """Return the value of the first name that is present and not null, or None."""
    return next((card[name] for name in names if card.get(name) is not None), None)


def gathered(card: Mapping[str, Json], names: tuple[str, ...]) -> list[Json]:
    """Return the items of all these names, in their order; a text is one item, and other values are ignored."""
    return [item for name in names for item in _items(card.get(name))]


def sources(card: Mapping[str, Json], names: tuple[str, ...], parameters: int) -> list[Mapping[str, Json]] | None:
    """Describe the base models, or data sets, that the first of these names lists; return None without such a name.

    A description has some of `SOURCE_KEYS`. It is the card's own, or comes from a Hub id or address. An entry of
    another kind gets an empty one, because GGUF counts it.

    Args:
        card: The front matter.
        names: Names of the list in the front matter.
        parameters: The model's number of weights, to tell sizes in names from context lengths.
    """
    name = next((name for name in names if name in card), None)
    return None if name is None else [_source(entry, parameters) for entry in _items(card[name])]


def _source(entry: Json, parameters: int) -> Mapping[str, Json]:
    if isinstance(entry, dict):
        return entry
    if not isinstance(entry, str):
        return {}
    if entry.startswith(("http://", "https://", "ssh://")):
        match = _HUB_ADDRESS.fullmatch(entry)
        told = _told(ModelName.parse(match.group(1), parameters)) if match else {}
        return {**told, "repo_url": entry}
    model = ModelName.parse(entry, parameters)
    at_hub = (
        {} if model.organization is None else {"repo_url": f"https://huggingface.co/{model.organization}/{model.name}"}
    )
    return {**_told(model), **at_hub}


def _told(model: ModelName) -> dict[str, str | None]:
    facts = model.facts()
    return {key: facts[key] for key in ("name", "organization", "version")}


def _items(value: Json) -> list[Json]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []


def _front_matter(text: str) -> str:
    """Cut out the lines between the first line, if it is ---, and the next such line or the end.

    As in the reference, `no` in a list is Norwegian and not false, and a tab is two spaces.
    """
    lines = iter(text.splitlines())
    if next(lines, None) != "---":
        return ""
    return "".join(_repaired(lines))


def _repaired(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "---":
            return
        yield f"{line}\n".replace("- no\n", '- "no"\n').replace("\t", "  ")


def _reason(error: Exception) -> str:
    """Describe PyYAML's finding and its line in the file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 2}: {shown(error.problem)}"
    return shown(str(error))
