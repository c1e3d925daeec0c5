"""The front matter of README.md, the model card: the model's author, sources and license. All of it is untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from quantize_cli.architectures.model_name import ModelName
from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_text
from quantize_cli.errors import CheckpointError, shown

CARD = "README.md"

#: Room for the results of about 12,000 benchmarks. PyYAML reads some 100,000 characters a second.
MAX_CHARACTERS = 4 << 20

#: Python's own limit for decimal numbers; PyYAML's numbers to the base 60 take quadratic time.
_MAX_DIGITS = 4300
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"

#: Exceptions of PyYAML's constructors for values that do not fit their tags, and for endless nesting.
_DAMAGED = (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)

#: A model or data set on the Hub.
_HUB_ADDRESS = re.compile(r"https?://huggingface\.co/([^/]+/[^/]+)")

#: Keys of the description of a base model or data set, in GGUF's order.
SOURCE_KEYS = ("name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, whose work is bounded by the length of the text.

    An alias is safe, because it only refers to an object. A merge key is not safe, because it copies: a few lines of
    merges of merges fill the memory.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == _MERGE for key, _ in node.value):
            raise yaml.constructor.ConstructorError(problem="a merge key, <<", problem_mark=node.start_mark)
        super().flatten_mapping(node)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            raise yaml.constructor.ConstructorError(problem="a number without end", problem_mark=node.start_mark)
        return super().construct_scalar(node)


def read_model_card(sidecars: Sidecars) -> dict[str, Json]:
    """Read the front matter of README.md; it is empty if the file or a mapping in it is missing.

    Raises:
        CheckpointError: README.md cannot be read, or its front matter is not YAML.
    """
    if not sidecars.has(CARD):
        return {}
    text, where = _front_matter(read_text(sidecars, CARD)), sidecars.where(CARD)
    if len(text) > MAX_CHARACTERS:
        raise CheckpointError(f"{where} has a front matter of more than {MAX_CHARACTERS:,} characters; shorten it.")
    try:
        card = yaml.load(text, _Loader)
    except _DAMAGED as error:
        raise CheckpointError(
            f"{where} has a front matter that is not valid YAML ({_reason(error)}); repair or delete it."
        ) from error
    return card if isinstance(card, dict) else {}


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
