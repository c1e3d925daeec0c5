"""What a measurement of quality found, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from quantize_cli.evaluation.model import Difference, Divergence, Evaluation
from quantize_cli.report.json_report import as_json
from quantize_cli.texts.model import TextRecord

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Compared:
    """llama.cpp's mix with an importance matrix, and a file of ours, on one text."""

    text: str
    theirs: Divergence
    ours: Divergence
    difference: Difference  #: ours less theirs, token by token

    @property
    def ratio(self) -> float:
        """Our mean KLD, as a share of theirs."""
        return self.ours.mean_kld / self.theirs.mean_kld


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files, in most pairs of the same size."""

    theirs: str  #: label of the file of llama.cpp's mix, "Q3_K_M with imatrix"
    ours: str  #: label of our file, "budget of Q3_K_M, gptq"
    their_bytes: int  #: of the whole file
    our_bytes: int
    texts: tuple[Compared, ...]  #: the reported text comes first

    @property
    def like_for_like(self) -> bool:
        """Whether our file has the bytes of theirs, and not those of a smaller mix."""
        return self.theirs.partition(" ")[0] in self.ours


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when it was measured."""

    date: str
    machine: str
    versions: Mapping[str, str]  #: name of a package -> its version


@dataclass(frozen=True, slots=True)
class Quality:
    """All that was measured of one model."""

    schema_version: int
    setting: Setting
    model: str
    weights_sha256: str  #: of the file with the weights
    calibration: tuple[TextRecord, ...]  #: what the types were chosen by
    reused: bool  #: whether an earlier run has calibrated
    overlaps: tuple[tuple[str, float], ...]  #: text -> share of its sequences of 13 words that the calibration has too
    evaluation: Evaluation  #: `all` of each file is over the reported text; bytes are those of the weights alone
    others: tuple[Divergence | None, ...]  #: one for each file: over the text of another kind, if there is one
    pairs: tuple[Pair, ...]
    seconds: float


def to_json(quality: Quality) -> str:
    """Render ASCII JSON with a final newline, the dataclasses field by field; what is not finite is null."""
    return json.dumps(as_json(quality), indent=2, allow_nan=False) + "\n"
