"""Changes of config.json that would make tensors fit: which number, or which class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from quantize_cli.architectures.common import KV_HEADS
from quantize_cli.architectures.defaults import TEXT_CONFIGS
from quantize_cli.architectures.examine import Findings, RawModel, Wrong, examine
from quantize_cli.architectures.sizes import Named
from quantize_cli.checkpoints.sidecars import Json
from quantize_cli.errors import QuantizeError

#: Changes that make all of these wrong tensors fit are then tried on the whole model.
MAX_TRIED_ON_ALL = 3
#: So many wrong tensors give numbers to try.
_MODELS_OF_NUMBERS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """A number in config.json, and the one that would fit."""

    key: str  #: with the section: "text_config.vocab_size"
    now: int
    fits: int


def with_value(values: Mapping[str, Json], key: str, value: Json) -> tuple[str, dict[str, Json]]:
    """Change a value of config.json where the text model has it; return its key with its section, and the result."""
    sections = _text_sections(values)
    section = next((name for name in sections if key in values[name]), None)
    if section is None and key not in values and sections:
        section = sections[0]
    if section is None:
        return key, {**values, key: value}
    return f"{section}.{key}", {**values, section: {**values[section], key: value}}


def gives(found: Findings, key: str) -> str:
    """Return the start of a sentence on a number of config.json, which may be the default of its class."""
    label, _ = with_value(found.raw.values, key, None)
    where = found.model.config.where
    if _key(found.raw.values, (key,)) is None:
        return f"{where} does not give {label}, which is then"
    return f"{where} gives {label}"


def _text_sections(values: Mapping[str, Json]) -> list[str]:
    return [name for name in ("text_config", *TEXT_CONFIGS) if isinstance(values.get(name), dict)]


def _key(values: Mapping[str, Json], names: tuple[str, ...]) -> str | None:
    """Return the one of a number's names that config.json uses, which its class in transformers may rename."""
    held = (values, *(values[section] for section in _text_sections(values)))
    return next((name for name in names if any(part.get(name) is not None for part in held)), None)


def examined(raw: RawModel) -> Findings | None:
    """Examine a changed model; return None if config.json contradicts itself then."""
    try:
        return examine(raw)
    except QuantizeError:
        return None


def fits(raw: RawModel) -> bool:
    """Tell whether a changed model is without faults."""
    found = examined(raw)
    return found is not None and not found.faulty


def fitting_changes(found: Findings) -> list[Change]:
    """Return the numbers of config.json, each of which would by itself make all of a model's tensors fit."""
    some = _representatives(found.wrong)
    infos = {info.name: info for wrong in some for info in wrong.tensor.sources}
    few = replace(found.raw, infos=infos)
    fitting: list[tuple[Change, RawModel]] = []
    for key, now in _numbers(found):
        for value in sorted(_candidates(now, some)):
            label, values = with_value(found.raw.values, key, value)
            again = examined(replace(few, values=values))
            if again is not None and not again.wrong and not again.unknown:
                fitting.append((Change(label, now, value), replace(found.raw, values=values)))
    return [change for change, raw in fitting[:MAX_TRIED_ON_ALL] if fits(raw)]


def _representatives(wrong: Iterable[Wrong]) -> list[Wrong]:
    """Return the first wrong tensor of each pair of shapes; the last may be of a layer that needs others beside it."""
    found: dict[object, Wrong] = {}
    for one in wrong:
        found.setdefault((one.wanted, one.tensor.shape), one)
    return list(found.values())


def _numbers(found: Findings) -> Iterator[tuple[str, int]]:
    """Yield the sizes in config.json with their values; those that follow from others too."""
    sizes, values = found.sizes, found.raw.values
    rows = {row.names: row(sizes) for row in sizes.table.values() if isinstance(row, Named)}
    derived = {names: sizes.get(symbol) for names, symbol in ((KV_HEADS, "kv_heads"), (("head_dim",), "head"))}
    keys = {_key(values, names) or names[0]: now for names, now in (rows | derived).items()}
    yield from ((key, now) for key, now in keys.items() if now is not None)


def _candidates(now: int, wrong: Iterable[Wrong]) -> set[int]:
    """Return numbers to try in place of `now`: the tensors' sizes, and what follows where they are products or sums."""
    found = set()
    for one in list(wrong)[:_MODELS_OF_NUMBERS]:
        if one.wanted is not None and len(one.wanted) == len(one.tensor.shape):
            for has, wanted in zip(one.tensor.shape, one.wanted, strict=True):
                if wanted not in (None, 0, has):
                    found |= {has, now + has - wanted, now + (has - wanted) // 2}  # half: B and C of a state space
                    found |= {now * a // b for a, b in ((has, wanted), (wanted, has)) if now * a % b == 0}
    return {value for value in found if value > 0 and value != now}
