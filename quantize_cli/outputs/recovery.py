"""What an earlier run has left, and how much of it is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from quantize_cli.errors import listed
from quantize_cli.outputs.hashing import Beginning, Digest
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
    #: For each file the numbers of bytes, in order, after which the output is marked; see `Output.mark`.
    marked: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is right."""

    records: int = 0  #: number of records
    beginnings: Mapping[int, Beginning] = field(default_factory=dict)  #: file -> its right bytes


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
    recovered = _checked(held.records, files, run.marked)
    if recovered.records < len(held.records):
        run.tell(
            f"What an earlier run has left of {outputs} is damaged: only {recovered.records:,} of "
            f"{len(held.records):,} records are right."
        )
    if recovered.records:
        nbytes = sum(beginning.nbytes for beginning in recovered.beginnings.values())
        run.tell(f"Going on with {outputs}: an earlier run was stopped after {nbytes:,} bytes, which are right.")
    return recovered


def _checked(records: Sequence[Record], files: Sequence[Complete], marked: Sequence[Sequence[int]]) -> Recovered:
    count = len(records)
    grown: list[dict[int, Beginning]] = [{} for _ in records]
    for number, file in enumerate(files):
        claims = [(n, *record.files[number]) for n, record in enumerate(records[:count]) if number in record.files]
        with writing(file.path, file.option):
            right = _right(file.temporary.file.fileno(), claims, marked[number] if marked else ())
        for (n, _, _), beginning in zip(claims, right, strict=False):
            grown[n][number] = beginning
        if len(right) < len(claims):
            count = claims[len(right)][0]
    beginnings: dict[int, Beginning] = {}
    for of_record in grown[:count]:
        beginnings.update(of_record)
    return Recovered(count, beginnings)


def _right(descriptor: int, claims: Sequence[_Claim], marked: Sequence[int]) -> list[Beginning]:
    """Read and hash a file from its start; return what it holds at each claim, up to the first that is wrong."""
    digest: Digest = hashlib.sha256()
    place = 0
    marks: list[bytes] = []
    right: list[Beginning] = []
    for _, nbytes, sha256 in claims:
        for end in (*(end for end in marked[len(marks) :] if end <= nbytes), nbytes):
            while place < end and (piece := os.pread(descriptor, min(_PIECE, end - place), place)):
                digest.update(piece)
                place += len(piece)
            if len(marks) < len(marked) and place == end == marked[len(marks)]:
                marks.append(digest.copy().digest())
        if place != nbytes or digest.hexdigest() != sha256:
            break
        right.append(Beginning(nbytes, digest.copy(), tuple(marks)))
    return right
