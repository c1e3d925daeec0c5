"""What a check of a file has found, as one versioned value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1

#: Findings that are kept; of further ones only the number is.
MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    kind: str  #: "container", "padding", "scales", "digest", "metadata", "tensors" or "bytes"
    file: str
    tensor: str | None  #: None if it is not one tensor's
    sentence: str


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file that was read to its end."""

    path: str
    bytes: int
    tensors: int
    blocks: int  #: blocks, or weights of plain types, that were searched for NaN and infinity
    digests: bool  #: whether the file holds digests, with which header and tensors were compared


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison with the model that the file was made from."""

    model: str  #: the path or Hub id that was given
    format: str
    tensors: int  #: tensors that were derived again, whole or in part
    bytes: int  #: bytes that were compared
    of_bytes: int  #: bytes of all tensors


@dataclass(frozen=True, slots=True)
class Verification:
    """A finished check; the file is sound if there is no finding."""

    schema_version: int
    path: str  #: as it was given
    files: tuple[CheckedFile, ...]  #: all parts whose headers could be read
    compared: Compared | None  #: None if no model was given, or the file is too damaged
    findings: tuple[Finding, ...]  #: at most `MOST_FINDINGS`
    further_findings: int  #: number of those that are not in `findings`
    notes: tuple[str, ...]  #: sentences about what is not a fault

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the check as an object of strict JSON; see docs/verify.md."""
        return {**asdict(self), "sound": self.sound}


class Findings:
    """Collects findings, and bounds them: a damaged file may have millions."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.further = 0

    def add(self, kind: str, file: str, sentence: str, tensor: str | None = None) -> None:
        """Add a fault."""
        if len(self.kept) < MOST_FINDINGS:
            self.kept.append(Finding(kind, file, tensor, sentence))
        else:
            self.further += 1
