"""Small damages to bytes and to JSON documents, drawn from a generator of random numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

#: Of larger files more time and memory may be asked.
MAX_BYTES = 10_000_000

#: How many damages an input gets.
DAMAGES = (1, 1, 1, 1, 2, 2, 3, 6)

INTEGERS = (
    0,
    1,
    2,
    3,
    255,
    256,
    65535,
    2**16,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**40,
    2**62,
    2**63,
    2**64 - 1,
)

#: First byte and number of bytes of an integer in a file.
Place = tuple[int, int]


def flip(rng: Random, data: bytes) -> bytes:
    """Change one bit."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut(rng: Random, data: bytes) -> bytes:
    """Leave the end out."""
    return data[: rng.randrange(len(data))]


def remove(rng: Random, data: bytes) -> bytes:
    """Leave some bytes out."""
    start, stop = _range(rng, data)
    return data[:start] + data[stop:]


def insert(rng: Random, data: bytes) -> bytes:
    """Add random bytes."""
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 8, 100))) + data[at:]


def splice(rng: Random, data: bytes) -> bytes:
    """Overwrite some bytes with others of the same file."""
    start, stop = _range(rng, data)
    other = rng.randrange(len(data) - (stop - start) + 1)
    return data[:start] + data[other : other + stop - start] + data[stop:]


def repeat(rng: Random, data: bytes) -> bytes:
    """Repeat some bytes."""
    start, stop = _range(rng, data)
    return data[:start] + data[start:stop] * rng.choice((2, 3, 100)) + data[stop:]


BYTE_DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (flip, cut, remove, insert, splice, repeat)


def damage_bytes(rng: Random, data: bytes) -> bytes:
    """Damage bytes of an unknown meaning."""
    for _ in range(rng.choice(DAMAGES)):
        if data:
            data = rng.choice(BYTE_DAMAGES)(rng, data)
    return data


def damage_integer(rng: Random, data: bytes, places: Sequence[Place]) -> bytes:
    """Change one of the little-endian integers at `places`."""
    at, size = rng.choice(places)
    old = int.from_bytes(data[at : at + size], "little")
    new = rng.choice((rng.choice(INTEGERS), old + rng.choice((-1, 1)), old * 2, old >> 1, rng.getrandbits(8 * size)))
    return data[:at] + (new % (1 << 8 * size)).to_bytes(size, "little") + data[at + size :]


def _range(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 64, 1000)))


@dataclass(frozen=True)
class Raw:
    """A piece of a JSON document as it is spelled; as a key, it may repeat another."""

    text: str


#: Values that code which expects others may not survive.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 2**16, 2**31, 2**32, 2**40, 2**63, 2**64, -(2**63)),
    *(0.5, -0.0, 1e-320, 1e38, 1e39, 1e308, Raw("1e400"), Raw("NaN"), Raw("-Infinity"), Raw("9" * 5000), Raw("-")),
    *("", " ", "a", "0", "-1", "null", "<s>", "</s>", "▁", "Ġ", "a" * 300, "é" * 70_000),
    *("\0", "a\0b", "\x1b[31mred\x1b[0m", "two\nlines", "\u202egnp", "../../etc/passwd", "/dev/zero", "%s%n{0}"),
    *(Raw('"\\ud800"'), Raw('"\\ude00\\ud800"'), Raw('"\t"'), Raw("'a'"), Raw("")),
    *([], {}, [[]], [None], {"": {}}, [0] * 3, [-1, 2**40], ["a", 1], {"a": {"b": {"c": None}}}),
    *(Raw("[" * 500 + "]" * 500), Raw('{"a":' * 100_000), Raw("[" + "0," * 100_000 + "0]")),
)

#: Where a value stands: a dict or list, and its key there.
Spot = tuple[Any, Any]


def damage_json(rng: Random, content: bytes, plants: Mapping[str, Sequence[Any]]) -> bytes:
    """Damage a JSON document by its structure.

    Args:
        rng: The source of chance.
        content: The document, which is valid.
        plants: Path in the document, with "/" between its keys -> values worth a try there.
    """
    root = [json.loads(content)]
    for _ in range(rng.choice(DAMAGES)):
        if plants and rng.random() < 0.3:
            path = rng.choice(list(plants))
            _plant(root[0], path.split("/"), rng.choice(plants[path]))
        else:
            rng.choice(JSON_DAMAGES)(rng, root, *_spot(rng, root))
    return spelled(root[0]).encode()[:MAX_BYTES]


def spelled(value: Any) -> str:
    """Spell a JSON document, with all that `Raw` may hold."""
    return "".join(_spell(value))


def _spell(value: Any) -> Iterator[str]:
    if isinstance(value, Raw):
        yield value.text
    elif isinstance(value, dict):
        yield "{"
        for number, (key, held) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _spell(key)
            yield ": "
            yield from _spell(held)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, held in enumerate(value):
            yield ", " if number else ""
            yield from _spell(held)
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False)


def _spot(rng: Random, root: list[Any]) -> Spot:
    """Choose a value. The upper ones are likelier, so that a vocabulary does not take every turn."""
    spot: Spot = (root, 0)
    while True:
        held = spot[0][spot[1]]
        keys = _keys(held)
        if not keys or (spot[0] is not root and rng.random() < 0.3):
            return spot
        spot = held, rng.choice(keys)


def _keys(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value)
    return range(len(value)) if isinstance(value, list) else ()


def _plant(document: Any, path: Sequence[str], value: Any) -> None:
    """Put a value at a path, if the objects on the way are there."""
    for key in path[:-1]:
        document = document.get(key) if isinstance(document, dict) else None
    if isinstance(document, dict):
        document[path[-1]] = deepcopy(value)


def _drop(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    if parent is root:
        root[0] = Raw("")
    else:
        del parent[key]


def _replace(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    parent[key] = deepcopy(rng.choice(ODD))


def _copy(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    """Put a value of elsewhere here."""
    other, there = _spot(rng, root)
    parent[key] = deepcopy(other[there])


def _swap(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    other = rng.choice(_keys(parent))
    parent[key], parent[other] = parent[other], parent[key]


def _repeat(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    """Repeat a key with another value, or an item."""
    value = deepcopy(rng.choice((parent[key], rng.choice(ODD))))
    if isinstance(parent, list):
        parent[key:key] = [value] * rng.choice((1, 2, 50))
    else:
        parent[Raw(spelled(key))] = value


def _rename(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        odd = rng.choice(ODD)
        parent[odd if isinstance(odd, str | Raw) else f"{spelled(key)[1:-1]}{odd}"] = parent.pop(key)


def _nest(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    parent[key] = rng.choice(([parent[key]], {"": parent[key]}, [parent[key], parent[key]]))


def _tweak(rng: Random, root: list[Any], parent: Any, key: Any) -> None:
    """Change a value to another of its type, or to the same in another type."""
    value = parent[key]
    if isinstance(value, bool):
        parent[key] = rng.choice((not value, int(value), str(value)))
    elif isinstance(value, int | float):
        parent[key] = rng.choice((value + 1, value - 1, value * 2, -value, float(value), str(value), value + 1e9))
    elif isinstance(value, str):
        middle = len(value) // 2
        parent[key] = rng.choice(
            (f"{value} ", value[:middle], value.swapcase(), value[:1000] * 300, value + value, [value])
        )
    elif isinstance(value, list):
        parent[key] = rng.choice(([], value[::-1], value * 2, value[:1], value[: len(value) // 2]))
    elif isinstance(value, dict):
        parent[key] = rng.choice(
            ({}, list(value.values()), dict(reversed(value.items())), dict(list(value.items())[1:]))
        )


JSON_DAMAGES: tuple[Callable[[Random, list[Any], Any, Any], None], ...] = (
    *(_drop, _replace, _replace, _copy, _swap, _repeat, _rename, _nest, _tweak, _tweak),
)
