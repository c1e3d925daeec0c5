"""Where a run stands, noted now and then, so that one that was stopped can go on with the same bytes and report."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import OutputError
from quantize_cli.measure.sums import NOTHING, SUMS, Sums
from quantize_cli.outputs.journal import Json
from quantize_cli.outputs.resuming import Resumable
from quantize_cli.planning.model import Plan
from quantize_cli.version import GENERATOR

#: Seconds between two notes; later in a run, this part of the time since it began. So a note costs little, their number
#: grows slowly, and what is lost by a kill is short beside what is kept.
SECONDS = 1.0
_PART = 0.001

_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where the output of one plan stands between two experts, or two tensors."""

    file: int  #: number of the file that is being written, or was last; -1 before the first
    sums: Sums  #: of the tensors that are complete, float64[n, SUMS]
    waiting: Sums  #: those of the tensor that is not; see `RunningSums.held`
    groups: Sums


START = Place(-1, NOTHING, NOTHING, NOTHING)


class Progress:
    """Notes where a run stands, and knows where an earlier one has stopped.

    Args:
        outputs: What keeps the notes; without it, nothing is noted.
    """

    def __init__(self, outputs: Resumable | None) -> None:
        self._outputs = outputs
        self._states: Sequence[Json] = outputs.states if outputs is not None else ()
        self.earlier_seconds: float = 0.0  #: what earlier runs took for the work that need not be done again
        self._began = self._last = time.perf_counter()
        self._told = 0  # tensors whose sums are noted

    def start(self, plans: int) -> tuple[int, list[Place]]:
        """Return how many slabs are written, and the place of each plan; start the clock.

        Raises:
            OutputError: The notes do not fit.
        """
        self._began = self._last = time.perf_counter()
        if not self._states:
            return 0, [START] * plans
        try:
            slabs, self.earlier_seconds = int(self._states[-1]["slabs"]), float(self._states[-1]["seconds"])
            places = [_place([state["plans"][number] for state in self._states]) for number in range(plans)]
        except (KeyError, IndexError, TypeError, ValueError):
            raise OutputError(
                "What an earlier run has left does not fit this one; start anew with --restart."
            ) from None
        self._told = len(places[0].sums)
        return slabs, places

    def is_due(self) -> bool:
        """Tell whether it is time for the next note."""
        now = time.perf_counter()
        return self._outputs is not None and now - self._last >= max(SECONDS, _PART * (now - self._began))

    def note(self, slabs: int, places: Sequence[Place]) -> None:
        """Note that `slabs` slabs are written.

        Raises:
            OutputError: The system refuses it.
        """
        assert self._outputs is not None
        new = [replace(place, sums=place.sums[self._told :]) for place in places]
        seconds = self.earlier_seconds + time.perf_counter() - self._began
        self._outputs.record({"slabs": slabs, "seconds": seconds, "plans": [_state(place) for place in new]})
        self._told = len(places[0].sums)
        self._last = time.perf_counter()


def key_of(plans: Sequence[Plan], names: Sequence[str]) -> str:
    """Return what the hidden files of a run are named after, in hex digits: its plans and the names of its outputs."""
    text = ascii(([plan.digest for plan in plans], list(names)))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def identity_of(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return what must not change until a run goes on, beside its plans, by its name in sentences.

    The contents of a file are known by its size and the time of its last change, or by the commit of the Hub.
    """
    source = (checkpoint.commit, sorted(checkpoint.stamps.items()), list(checkpoint.infos.values()))
    return {
        "the source": hashlib.sha256(ascii(source).encode()).hexdigest(),
        "the version of this program": GENERATOR,
    }


def _state(place: Place) -> Json:
    return {"file": place.file, **{name: _text(getattr(place, name)) for name in ("sums", "waiting", "groups")}}


def _place(states: Sequence[Json]) -> Place:
    """Join the states of one plan: each has the sums of the tensors that were completed since the one before."""
    sums = np.concatenate([_table(state["sums"]) for state in states])
    last = states[-1]
    return Place(int(last["file"]), sums, _table(last["waiting"]), _table(last["groups"]))


def _text(table: Sums) -> str:
    """Spell a table so that not a bit is lost."""
    return b64encode(table.astype("<f8").tobytes()).decode()


def _table(text: str) -> Sums:
    return np.frombuffer(b64decode(text, validate=True), "<f8").astype(np.float64).reshape(-1, SUMS)
