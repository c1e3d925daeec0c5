"""What became of an input, and what may not become of one."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oracle import ggml

from fuzz import headers, loading
from fuzz.seeds import Input
from fuzz.targets import KINDS, Kind, damaged
from quantize_cli import Observer, QuantizeError, plan, quantize
from quantize_cli.architectures.loading_tensors import LAYOUTS
from quantize_cli.architectures.loading_tokens import MODEL
from quantize_cli.checkpoints.gguf import GgufCheckpoint, is_gguf
from quantize_cli.checkpoints.open import open_checkpoint

Outcome = Literal["refused", "accepted", "fault"]

MAX_SENTENCE = 1500  # characters
NOT_LOADED = "llama.cpp does not load it"
TWICE = 16  #: one input of so many is tried twice


@dataclass(frozen=True)
class Verdict:
    """The outcome for one input."""

    kind: str
    number: int
    outcome: Outcome
    detail: str = ""  #: the sentence, or the fault
    loaded: bool = False  #: whether llama.cpp loaded the output
    excused: bool = False  #: whether it does not load the input either, a GGUF file that we cannot know to be wrong
    seconds: float = 0.0  #: of the processor
    peak_bytes: int = 0  #: by how much the resident memory grew

    def __str__(self) -> str:
        return f"{self.kind} {self.number}: {self.outcome}: {self.detail}"


class FaultError(Exception):
    """Something that must not happen."""


class _Listener(Observer):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, sentence: str) -> None:
        """Keep a warning."""
        self.heard.append(sentence)


class Folder:
    """A folder whose files are those of one input after the other; only what differs is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, bytes] = {}
        path.mkdir()

    def hold(self, files: Mapping[str, bytes]) -> None:
        """Make the folder's files the given ones."""
        for name in self._held.keys() - files.keys():
            (self.path / name).unlink()
            if (parent := (self.path / name).parent) != self.path and not any(parent.iterdir()):
                parent.rmdir()
        for name, content in files.items():
            if self._held.get(name) is not content:
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).write_bytes(content)
        self._held = dict(files)


class Judge:
    """Tries inputs in files under `scratch`, which is empty; there is a file `loading` while llama.cpp loads."""

    def __init__(self, scratch: Path) -> None:
        self._folder = Folder(scratch / "tiny-1B")
        self._output = scratch / "out.gguf"
        self._loading = scratch / "loading"

    def judge(self, kind: str, number: int) -> Verdict:
        """Try the input of that number."""
        given = damaged(kind, number)
        _forget_peak()
        before, started = _peak_bytes(), _cpu_seconds()
        try:
            outcome, detail = self.convert(kind, given)
            seconds, grown = _cpu_seconds() - started, _peak_bytes() - before
            twice = number % TWICE == 0 and seconds < 1
            if twice and (outcome, detail) != (again := self.convert(kind, given)):
                raise FaultError(f"the second time it is {again}, the first time it was {(outcome, detail)}")
            if kind == "safetensors" and (trouble := headers.disagreement(self._folder.path / "model.safetensors")):
                raise FaultError(trouble)
            tried = outcome == "accepted" and ggml.INSTALLED and KINDS[kind].loads
            reason = self._load(self._output) if tried else None
            excused = reason is not None and self._is_excused(given)
            if reason is not None and not excused:
                raise FaultError(f"{NOT_LOADED}: {reason}")
        except FaultError as fault:
            return Verdict(kind, number, "fault", str(fault))
        return Verdict(kind, number, outcome, detail, tried and not excused, excused, seconds, grown)

    def convert(self, kind: str, given: Input) -> tuple[Outcome, str]:
        """Convert the input; return what it became, and its digest or the sentence that refused it."""
        self._folder.hold(given.files)
        try:
            warnings = self._write(KINDS[kind], given)
        except QuantizeError as error:
            _check_sentence(str(error))
            return "refused", str(error)
        except BaseException as error:
            raise FaultError(f"{type(error).__name__} escapes: {_place(error)}") from error
        for sentence in warnings:
            _check_sentence(sentence)
        return "accepted", hashlib.sha256(self._output.read_bytes()).hexdigest()

    def _write(self, kind: Kind, given: Input) -> Sequence[str]:
        """Write the output, with weights of 0 where the plan is all that can differ; return the warnings."""
        model, options = self._folder.path / given.model, dict(given.options)
        if given.imatrix:
            options["imatrix"] = self._folder.path / given.imatrix
        if kind.run:
            listener = _Listener()
            quantize(model, kind.format, self._output, observer=listener, threads=1, force=True, **options)
            return listener.heard
        planned = plan(model, kind.format, **options)
        (file,) = planned.files
        self._output.write_bytes(file.header)
        os.truncate(self._output, file.file_bytes)
        return planned.warnings

    def _load(self, path: Path) -> str | None:
        """Load a file in llama.cpp, which may end the process; return why it does not load, or None."""
        self._loading.touch()
        reason = loading.load(path)
        self._loading.unlink()
        return reason

    def _is_excused(self, given: Input) -> bool:
        """Tell whether the input is a GGUF file whose tensors are not looked at, and does not load either."""
        path = self._folder.path / given.model
        if not is_gguf(path):
            return False
        checkpoint = open_checkpoint(path)
        assert isinstance(checkpoint, GgufCheckpoint)
        fields = {field.key: field.value for field in checkpoint.metadata}
        looked_at = fields.get("general.architecture") in LAYOUTS and MODEL in fields
        return not looked_at and self._load(path) is not None


def _check_sentence(sentence: str) -> None:
    if not sentence.isprintable():
        raise FaultError(f"the sentence has control characters: {sentence!r:.400}")
    if not 10 < len(sentence) <= MAX_SENTENCE:
        raise FaultError(f"the sentence has {len(sentence)} characters: {sentence!r:.400}")
    if not re.search(r"[.)]$", sentence):
        raise FaultError(f"the sentence has no end: {sentence!r:.400}")


def _place(error: BaseException) -> str:
    """Return the innermost line of ours, and the message."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "quantize_cli" in frame.filename]
    where = f"{'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}: " if frames else ""
    return f"{where}{str(error)[:300]!r}"


#: This process, and those that it started.
_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _cpu_seconds() -> float:
    usage = map(resource.getrusage, _PROCESSES)
    return sum(used.ru_utime + used.ru_stime for used in usage)


def _forget_peak() -> None:
    """Let the peak of the resident memory begin anew, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Return the largest resident memory of this process, or of one that it started."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(process).ru_maxrss for process in _PROCESSES)
