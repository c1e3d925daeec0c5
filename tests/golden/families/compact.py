"""Compact records of GGUF files, and what differs between a file and its record.

A record is a file of JSON lines:

    {"size": bytes, "sha256": hex, "keys": K, "tensors": T}
    [key, type, value]                   K lines in file order
    [name, type, [ne0, ne1, ...], hex]   T lines in file order

Types of keys are GGUF's, ARRAY[STRING] for an array of strings. A long value is its number of items or characters and
a hash: {"n": 320, "sha256": hex}. The hash of the file is whole; the others are the first 16 digits of the SHA-256 of a
tensor's bytes, or of a value's JSON as `golden.record` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.record import record

DIGITS = 16

Entry = list[Any]  #: a line of a record: a name, and what is known of it


@dataclass(frozen=True)
class Compact:
    """A record: size in bytes, SHA-256 of the file, and its keys and tensors in file order."""

    size: int
    sha256: str
    keys: Sequence[Entry]
    tensors: Sequence[Entry]


def summarize(path: Path) -> Compact:
    """Return the record of the GGUF file at `path`."""
    found = record(path)
    keys = [[key, *_value(value)] for key, value in found["kv"].items()]
    tensors = [[name, t["type"], t["shape"], t["sha256"][:DIGITS]] for name, t in found["tensors"].items()]
    return Compact(found["file"]["size"], found["file"]["sha256"], keys, tensors)


def compare(path: Path, expected: Compact) -> list[str]:
    """Return what differs between the GGUF file at `path` and a record, a line for each; nothing if they are equal."""
    found = summarize(path)
    if (found.size, found.sha256) == (expected.size, expected.sha256):
        return []
    differences = [
        *_changed("key", found.keys, expected.keys),
        *_changed("tensor", found.tensors, expected.tensors),
        *_order("keys", found.keys, expected.keys),
        *_order("tensors", found.tensors, expected.tensors),
    ]
    if found.size != expected.size:
        differences.append(f"size: {found.size}, not {expected.size}")
    return [*differences, f"SHA-256 of the file: {found.sha256}, not {expected.sha256}"]


def dump(compact: Compact) -> str:
    """Return the record's text."""
    head = {"size": compact.size, "sha256": compact.sha256, "keys": len(compact.keys), "tensors": len(compact.tensors)}
    lines = (head, *compact.keys, *compact.tensors)
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def load(path: Path) -> Compact:
    """Return the record that lies at `path`."""
    head, *lines = (json.loads(line) for line in path.read_text().splitlines())
    keys, tensors = lines[: head["keys"]], lines[head["keys"] :]
    assert len(tensors) == head["tensors"], f"{path} is cut"
    return Compact(head["size"], head["sha256"], keys, tensors)


def _value(value: dict[str, Any]) -> tuple[str, Any]:
    kind = f"ARRAY[{value['item']}]" if value["type"] == "ARRAY" else value["type"]
    if "value" in value:
        return kind, value["value"]
    return kind, {"n": value["n"], "sha256": value["sha256"][:DIGITS]}


def _changed(what: str, found: Sequence[Entry], expected: Sequence[Entry]) -> Iterator[str]:
    ours = {name: rest for name, *rest in found}
    theirs = {name: rest for name, *rest in expected}
    for name in theirs | ours:
        if name not in ours:
            yield f"{what} {name} is missing: {theirs[name]}"
        elif name not in theirs:
            yield f"{what} {name} is extra: {ours[name]}"
        elif _exact(ours[name]) != _exact(theirs[name]):
            yield f"{what} {name}: {ours[name]}, not {theirs[name]}"


def _exact(values: list[Any]) -> str:
    """Return a text that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    return json.dumps(values)


def _order(what: str, found: Sequence[Entry], expected: Sequence[Entry]) -> Iterator[str]:
    ours = [name for name, *_ in found]
    theirs = [name for name, *_ in expected]
    if ours != theirs and sorted(ours) == sorted(theirs):
        at = next(index for index, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
        yield f"order of {what}: number {at} is {ours[at]}, not {theirs[at]}"
