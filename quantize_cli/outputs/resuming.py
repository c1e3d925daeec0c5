"""Files of a run that can be stopped and go on later: they have hidden names, and a journal beside them.

All hidden names of a run begin with the same key, which is made of all that decides the bytes. So a run that is started
again finds what it has left, and another one does not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quantize_cli.errors import OutputError, QuantizeError, listed
from quantize_cli.interrupts import deferred
from quantize_cli.outputs.hashing import Digest, Hashing, hashing
from quantize_cli.outputs.journal import Held, Journal, Json, Record, header_of, is_locked
from quantize_cli.outputs.names import Complete, give_names
from quantize_cli.outputs.refusals import writing
from quantize_cli.outputs.sinks import Output, complete, real
from quantize_cli.outputs.temporary import JOURNAL, PREFIX, SUFFIX, Temporary
from quantize_cli.outputs.unfinished import unfinished

#: Bytes that are read and hashed at a time.
_PIECE = 1 << 20

Claim = tuple[int, int, str]  # number of a record, and bytes of one file with their SHA-256


@dataclass(frozen=True, slots=True)
class Run:
    """What tells a run from every other one, and whether it may go on."""

    key: str  #: hex digits, of all that decides the bytes and of the files' names
    identity: Mapping[str, str]  #: what else must be as it was, by its name in sentences
    restart: bool  #: whether to start anew in any case
    tell: Callable[[str], None]  #: takes sentences for the user


@dataclass(frozen=True, slots=True)
class HiddenFiles:
    """The hidden names of a run."""

    journal: Path
    data: tuple[Path, ...]  #: in the order of its outputs

    @property
    def nbytes(self) -> int:
        """Size of the data that are there."""
        return sum(map(_size, self.data))


def hidden_files(key: str, paths: Sequence[Path]) -> HiddenFiles:
    """Name the hidden files of a run: the data beside each of `paths`, the journal beside the first."""
    folders = [real(path).parent for path in paths]
    data = (folder / f"{PREFIX}{key}-{number}{SUFFIX}" for number, folder in enumerate(folders))
    return HiddenFiles(folders[0] / f"{PREFIX}{key}{JOURNAL}", tuple(data))


def room_needed(sizes: Mapping[Path, int], key: str) -> dict[Path, int]:
    """Subtract from the sizes of a run's files, in bytes, what it has left of each."""
    hidden = hidden_files(key, list(sizes)).data if sizes else ()
    return {path: max(0, size - _size(there)) for (path, size), there in zip(sizes.items(), hidden, strict=True)}


def check_alone(paths: Sequence[Path], but: Path | None = None) -> None:
    """Check that no living run writes to one of `paths`; `but` is the journal of this run, if it has its lock.

    Raises:
        OutputError: One does.
    """
    targets = {real(path): path for path in paths}
    for folder in {target.parent for target in targets}:
        for journal in journals_in(folder):
            with suppress(OSError):
                if journal != but and is_locked(journal):
                    for name in names_in(header_of(journal)):
                        if (folder / name) in targets:
                            raise _busy(targets[folder / name])


def journals_in(folder: Path) -> list[Path]:
    """List the journals in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.name.endswith(JOURNAL) and entry.is_file(follow_symlinks=False)
        )
    return []


def names_in(header: Mapping[str, Json] | None) -> list[str]:
    """Return the names of the outputs of a journal's run."""
    names = (header or {}).get("outputs")
    return [str(name) for name in names] if isinstance(names, list) else []


class Resumable:
    """The outputs of a run, and what an earlier one has left of them.

    `record` notes what is written; a later run goes on from the last record whose bytes are still right.
    """

    def __init__(self, files: Sequence[Complete], journal: Journal, thread: Hashing) -> None:
        self.outputs = [Output(file.temporary.file, file.path, file.option, thread) for file in files]
        self.states: list[Json] = []  #: of the records to go on from, in their order
        self._files = files
        self._journal = journal
        self._hashing = thread
        self._noted = [0] * len(files)  # bytes of each file by the last record

    @property
    def worth_keeping(self) -> bool:
        """Whether a later run could go on from here."""
        return any(self._noted)

    def record(self, state: Json) -> None:
        """Note that all that was written so far is done; `state` is what the run needs to go on from here.

        Raises:
            OutputError: The system refuses it.
        """
        for output in self.outputs:
            output.flush()
        self._hashing.settle()
        written = [output.written for output in self.outputs]
        grown = {n: (now.nbytes, now.sha256) for n, now in enumerate(written) if now.nbytes != self._noted[n]}
        with writing(self._journal.path):
            self._journal.add(Record(grown, state))
        self._noted = [now.nbytes for now in written]
        unfinished.difference_update(self._hidden())  # the end of the process is not a reason to remove them any more

    def start(self, run: Run) -> None:
        """Go on from what is there, or start anew; say which.

        Raises:
            OutputError: The system refuses it.
        """
        held = self._journal.held
        count, right = self._usable(held, run)
        for number, file in enumerate(self._files):
            nbytes, digest = right.get(number, (0, self._hashing.digest()))
            with writing(file.path, file.option):
                file.temporary.cut(nbytes)
            self.outputs[number].go_on(nbytes, digest)
            self._noted[number] = nbytes
        self.states = [record.state for record in held.records[:count]]
        with writing(self._journal.path):
            if count:
                self._journal.keep(count)
            else:
                self._journal.begin(
                    {"identity": dict(run.identity), "outputs": [file.target.name for file in self._files]}
                )
        if count:
            run.tell(
                f"Going on with {_outputs(self._files)} where an earlier run was stopped: {sum(self._noted):,} bytes "
                "are there, and their checksums are right."
            )
        else:
            unfinished.update(self._hidden())

    def _usable(self, held: Held, run: Run) -> tuple[int, dict[int, tuple[int, Digest]]]:
        """Return the number of records to go on from, and the right bytes of each file with their digest."""
        if run.restart:
            return 0, {}
        if held.damaged:
            run.tell(f"{self._journal.path} is damaged after its first {len(held.records):,} records.")
        if not held.records:
            return 0, {}
        before = (held.header or {}).get("identity")
        before = before if isinstance(before, dict) else {}
        if changed := [name for name, value in run.identity.items() if before.get(name) != value]:
            run.tell(
                f"{_outputs(self._files)}: an earlier run was stopped, but {' and '.join(changed)} changed since then; "
                "starting anew."
            )
            return 0, {}
        count, right = self._checked(held.records)
        if count < len(held.records):
            run.tell(
                f"What an earlier run has left of {_outputs(self._files)} is damaged: only {count:,} of "
                f"{len(held.records):,} records are right."
            )
        return count, right

    def _checked(self, records: Sequence[Record]) -> tuple[int, dict[int, tuple[int, Digest]]]:
        """Read what records claim; return how many are right, and each file's bytes by the last of them."""
        count = len(records)
        digests: list[dict[int, tuple[int, Digest]]] = [{} for _ in records]
        for number, file in enumerate(self._files):
            claims = [(n, *record.files[number]) for n, record in enumerate(records[:count]) if number in record.files]
            with writing(file.path, file.option):
                found = _right(file.temporary.file.fileno(), claims)
            for (n, nbytes, _), digest in zip(claims, found, strict=False):
                digests[n][number] = (nbytes, digest)
            if len(found) < len(claims):
                count = claims[len(found)][0]
        right: dict[int, tuple[int, Digest]] = {}
        for of_record in digests[:count]:
            right.update(of_record)
        return count, right

    def _hidden(self) -> list[str]:
        return [str(self._journal.path), *(str(file.temporary.hidden) for file in self._files)]


@contextmanager
def resumable(paths: Sequence[Path], run: Run, *, force: bool, option: str = "-o") -> Iterator[Resumable]:
    """Open files that all get their names when the block ends without an exception.

    If the block fails because of the system, the network, or a signal, and something is recorded, hidden files stay for
    a later run, and `run.tell` hears of it. Any other failure removes them.

    Raises:
        OutputError: Another run writes the same files; or see `replacing`.
    """
    hidden = hidden_files(run.key, paths)
    files: list[Complete] = []
    journal: Journal | None = None
    resumed: Resumable | None = None
    keep = False
    try:
        journal = _journal(hidden.journal, paths[0], option)
        check_alone(paths, but=hidden.journal)
        for path, name in zip(paths, hidden.data, strict=True):
            with writing(path, option):
                files.append(Complete(Temporary(name.parent, name), path, real(path), option))
        with hashing() as thread:
            resumed = Resumable(files, journal, thread)
            resumed.start(run)
            yield resumed
            complete(files)
            thread.finish()
        give_names(files, force=force)
    except BaseException as error:
        keep = resumed is not None and resumed.worth_keeping and _may_go_on(error)
        if keep:
            sentence = (
                f"What is done of {_outputs(files)} ({hidden.nbytes:,} bytes) is kept in hidden files: run the same "
                f"again to go on from there, with --restart to start anew, or delete {hidden.journal.with_suffix('')}*."
            )
            error.add_note(sentence)
            run.tell(sentence)
        raise
    finally:
        try:
            _end(files, journal, keep=keep)
        except BaseException:  # of a signal's handler; it may have come before it was deferred
            _end(files, journal, keep=keep)
            raise


def _journal(path: Path, output: Path, option: str) -> Journal:
    with writing(output, option):
        try:
            return Journal(path)
        except BlockingIOError:
            raise _busy(output) from None


def _end(files: Sequence[Complete], journal: Journal | None, *, keep: bool) -> None:
    with deferred():
        for file in files:
            if keep:
                file.temporary.keep()
            else:
                file.temporary.discard()
        if journal is not None:
            if not keep:
                journal.remove()
            journal.close()


def _may_go_on(error: BaseException) -> bool:
    """Tell whether the same run could succeed later: neither its input nor this program is to blame.

    An error of ours has a cause if the system or the network has refused something.
    """
    match error:
        case QuantizeError():
            return error.__cause__ is not None
        case SystemExit(code=int(code)):  # how a signal unwinds the stack: 128 and its number
            return code > 128
        case _:
            return isinstance(error, KeyboardInterrupt | MemoryError | OSError)


def _right(descriptor: int, claims: Sequence[Claim]) -> list[Digest]:
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


def _busy(path: Path) -> OutputError:
    return OutputError(f"Another run is writing {path}; wait until it has ended, or choose another path with -o.")


def _outputs(files: Sequence[Complete]) -> str:
    return listed([str(file.path) for file in files])


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
