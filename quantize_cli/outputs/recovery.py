"""What an earlier run has left, and how much of it is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from quantize_cli.errors import listed
from quantize_cli.outputs.hashing import Digest
from quantize_cli.outputs.journal import Grown, Held, Record
from quantize_cli.outputs.names import Complete
from quantize_cli.outputs.refusals import writing

#: Bytes that are read and hashed at a time.
_PIECE = 1 << 20
#: Bytes whose check takes so long that the user hears of it before.
_LONG = 1 << 30

#: Hex digits of a SHA-256.
_MARK_DIGITS = 64

#: Number of a record, and what it claims of one file.
_Claim: TypeAlias = tuple[int, Grown]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The right bytes of a file."""

    nbytes: int
    digest: Digest
    marks: tuple[bytes, ...]  #: see `Output.mark`


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
    beginnings: Mapping[int, Beginning] = field(default_factory=dict)  #: by the number of the file


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
        nbytes = sum(beginning.nbytes for beginning in recovered.beginnings.values())
        run.tell(f"Going on with {outputs}: an earlier run was stopped after {nbytes:,} bytes, which are right.")
    return recovered


def _checked(records: Sequence[Record], files: Sequence[Complete]) -> Recovered:
    count = len(records)
    found: list[tuple[Sequence[_Claim], Sequence[Digest]]] = []
    for number, file in enumerate(files):
        claims = [(n, record.files[number]) for n, record in enumerate(records[:count]) if number in record.files]
        with writing(file.path, file.option):
            digests = _right(file.temporary.file.fileno(), [claim for _, claim in claims])
        if len(digests) < len(claims):
            count = claims[len(digests)][0]
        found.append((claims, digests))
    beginnings: dict[int, Beginning] = {}
    for number, (of_file, at) in enumerate(found):
        right = [claim for n, claim in of_file if n < count]
        if right:
            beginnings[number] = Beginning(right[-1].nbytes, at[len(right) - 1], _marks(right))
    return Recovered(count, beginnings)


def _right(descriptor: int, claims: Sequence[Grown]) -> list[Digest]:
    """Read and hash a file from its start; return its digest at each claim, up to the first that is wrong."""
    digest: Digest = hashlib.sha256()
    place = 0
    right: list[Digest] = []
    for claim in claims:
        while place < claim.nbytes and (piece := os.pread(descriptor, min(_PIECE, claim.nbytes - place), place)):
            digest.update(piece)
            place += len(piece)
        if place != claim.nbytes or digest.hexdigest() != claim.sha256:
            break
        right.append(digest.copy())
    return right


def _marks(claims: Sequence[Grown]) -> tuple[bytes, ...]:
    digits = "".join(claim.marks for claim in claims)
    return tuple(bytes.fromhex(digits[start : start + _MARK_DIGITS]) for start in range(0, len(digits), _MARK_DIGITS))
