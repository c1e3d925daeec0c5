"""A record of a GGUF file short enough to have hundreds of: hashes, and what its metadata changed of its source's.

    {"size": bytes, "sha256": hex,
     "kv":      {key: {"type": "UINT32", "value": 15}, removed key: null}
     "tensors": {name: "Q4_K 0a1b2c3d"}}

Only metadata that differs from the source's is kept, and of tensors the matrices: their types, and the first digits of
their SHA-256, by which a failing test can say what differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from golden.record import Record, record

HASH_DIGITS = 8


def summary(path: Path, source_kv: Record) -> Record:
    """The compact record of the file at `path`, which was made from one with the metadata `source_kv`."""
    found = record(path)
    kv = {key: value for key, value in found["kv"].items() if source_kv.get(key) != value}
    return {
        "size": found["file"]["size"],
        "sha256": found["file"]["sha256"],
        "kv": kv | {key: None for key in source_kv if key not in found["kv"]},
        "tensors": {
            name: f"{tensor['type']} {tensor['sha256'][:HASH_DIGITS]}"
            for name, tensor in found["tensors"].items()
            if len(tensor["shape"]) > 1
        },
    }


def differences(found: Record, expected: Record) -> Iterator[str]:
    """What differs between two records of files, for people; nothing where the files are equal."""
    if found["sha256"] == expected["sha256"]:
        return
    yield from _changed("metadata", found["kv"], expected["kv"])
    yield from _changed("tensor", found["tensors"], expected["tensors"])
    if list(found["tensors"]) != list(expected["tensors"]):
        yield f"order of tensors: {list(found['tensors'])}, not {list(expected['tensors'])}"
    if found["size"] != expected["size"]:
        yield f"size: {found['size']}, not {expected['size']}"
    yield "SHA-256; if nothing else differs: the order of the metadata, a vector, or padding"


def _changed(what: str, found: dict[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    for name in expected | found:
        ours, theirs = found.get(name, "absent"), expected.get(name, "absent")
        if ours != theirs:
            yield f"{what} {name}: {ours}, not {theirs}"
