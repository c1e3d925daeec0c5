"""What an earlier run has left, and how much of it is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from quantize_cli.errors import listed
from quantize_cli.outputs.hashing import Digest
from quantize_cli.outputs.journal import Held, Record
from quantize_cli.outputs.names import Complete
from quantize_cli.outputs.refusals import writing

#: Bytes that are read and hashed at a time.
_PIECE = 1 << 20
#: Bytes whose check takes so long that the user hears of it before.
_LONG = 1 << 30

#: Number of a record, and the bytes of one file with their SHA-256.
_Claim: TypeAlias = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Run:
    """What tells a run from every other one, and whether it may go on."""

    key: str  #: hex digits, of all that decides the bytes and of the files' names
    identity: Mapping[str, str]  #: what else must be as it was, by its name in sentences
    restart: bool  #: whether to start anew in any case
    tell: Callable[[str], None]  #: takes sentences for the user


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is right."""

    records: int = 0  #: number of records
    beginnings: Mapping[int, tuple[int, Digest]] = field(default_factory=dict)  #: file -> its right bytes, their digest


def recover(held: Held, files: Sequence[Complete], run: Run) -> Recovered:
    """Check what the journal claims; tell why something of it is not used.

    Raises:
        OutputError: A file cannot be read.
    """
    outputs = listed([str(file.path) for file in files])
    if run.restart:
        return Recovered()
    if held.damaged:
        run.tell(f"The journal of {outputs} is damaged after its first {len(held.records):,} records.")
    if not held.records:
        return Recovered()
    before = (held.header or {}).get("identity")
    before = before if isinstance(before, dict) else {}
    if changed := [name for name, value in run.identity.items() if before.get(name) != value]:
        run.tell(f"An earlier run to {outputs} was stopped, but {' and '.join(changed)} changed; starting anew.")
        return Recovered()
    claimed = sum(os.fstat(file.temporary.file.fileno()).st_size for file in files)
    if claimed >= _LONG:
        run.tell(f"Checking {claimed:,} bytes that an earlier run has left of {outputs}.")
    recovered = _checked(held.records, files)
    if recovered.records < len(held.records):
        run.tell(
            f"What an earlier run has left of {outputs} is damaged: only {recovered.records:,} of "
            f"{len(held.records):,} records are right."
        )
    if recovered.records:
        nbytes = sum(count for count, _ in recovered.beginnings.values())
        run.tell(f"Going on with {outputs}: an earlier run was stopped after {nbytes:,} bytes, which are right.")
    return recovered


def _checked(records: Sequence[Record], files: Sequence[Complete]) -> Recovered:
    count = len(records)
    digests: list[dict[int, tuple[int, Digest]]] = [{} for _ in records]
    for number, file in enumerate(files):
        claims = [(n, *record.files[number]) for n, record in enumerate(records[:count]) if number in record.files]
        with writing(file.path, file.option):
            right = _right(file.temporary.file.fileno(), claims)
        for (n, nbytes, _), digest in zip(claims, right, strict=False):
            digests[n][number] = (nbytes, digest)
        if len(right) < len(claims):
            count = claims[len(right)][0]
    beginnings: dict[int, tuple[int, Digest]] = {}
    for grown in digests[:count]:
        beginnings.update(grown)
    return Recovered(count, beginnings)


def _right(descriptor: int, claims: Sequence[_Claim]) -> list[Digest]:
    """Read and hash a file from its start; return its digest at each claim, up to the first that is wrong."""
    digest: Digest = hashlib.sha256()
    place = 0
    right: list[Digest] = []
    for _, nbytes, sha256 in claims:
        while place < nbytes and (piece := os.pread(descriptor, min(_PIECE, nbytes - place), place)):
            digest.update(piece)
            place += len(piece)
        if place != nbytes or digest.hexdigest() != sha256:
            break
        right.append(digest.copy())
    return right
