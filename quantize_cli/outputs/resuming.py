"""Outputs of a run that can be stopped and go on later: hidden files, and a journal of what is done beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from quantize_cli.errors import QuantizeError, listed
from quantize_cli.interrupts import deferred
from quantize_cli.outputs.hashing import new_digest
from quantize_cli.outputs.hidden import HiddenFiles, busy, check_alone, hidden_files
from quantize_cli.outputs.journal import Grown, Journal, Json, NoLocksError, Record
from quantize_cli.outputs.lanes import Lanes, beside
from quantize_cli.outputs.names import Complete, give_names
from quantize_cli.outputs.recovery import Beginning, Run, recover
from quantize_cli.outputs.refusals import writing
from quantize_cli.outputs.sinks import Output, complete, real, replacing
from quantize_cli.outputs.temporary import Temporary
from quantize_cli.outputs.unfinished import unfinished


class Resumable:
    """The outputs of a run, and what an earlier one has left of them; this one cannot note anything.

    Args:
        outputs: The outputs.
    """

    def __init__(self, outputs: list[Output]) -> None:
        self.outputs = outputs
        self.states: list[Json] = []  #: what `record` got from an earlier run, up to where this one goes on

    def record(self, state: Json) -> None:
        """Note that all that was written so far is done; `state` is what the run needs to go on from here.

        Raises:
            OutputError: The system refuses it.
        """


class _Journaled(Resumable):
    """Outputs with a journal."""

    def __init__(
        self, files: Sequence[Complete], hidden: HiddenFiles, journal: Journal, lanes: Sequence[Lanes]
    ) -> None:
        super().__init__(
            [Output(file.temporary.file, file.path, file.option, its) for file, its in zip(files, lanes, strict=True)]
        )
        self._files = files
        self._hidden = [str(name) for name in (hidden.journal, *hidden.data)]
        self._journal = journal
        self._noted = [(0, 0)] * len(files)  # bytes and number of marks of each file by the last record
        self.sealed = False  #: whether all bytes are written, so that only names can fail

    def start(self, run: Run) -> None:
        """Go on from what is there, or start anew, and say which.

        Raises:
            OutputError: The system refuses it.
        """
        recovered = recover(self._journal.held, self._files, run)
        for number, file in enumerate(self._files):
            beginning = recovered.beginnings.get(number) or Beginning(0, new_digest(), ())
            with writing(file.path, file.option):
                file.temporary.cut(beginning.nbytes)
            self.outputs[number].go_on(beginning.nbytes, beginning.digest, beginning.marks)
            self._noted[number] = (beginning.nbytes, len(beginning.marks))
        self.states = [record.state for record in self._journal.held.records[: recovered.records]]
        with writing(self._journal.path):
            if recovered.records:
                self._journal.keep(recovered.records)
            else:
                unfinished.update(self._hidden)
                outputs = [file.target.name for file in self._files]
                self._journal.begin({"identity": dict(run.identity), "outputs": outputs})

    def record(self, state: Json) -> None:
        """Note what is done; see `Resumable.record`."""
        for output in self.outputs:
            output.flush()
        grown: dict[int, Grown] = {}
        for number, (output, (nbytes, marks)) in enumerate(zip(self.outputs, self._noted, strict=True)):
            now = output.marks()  # waits until all is hashed
            written = output.written
            if written.nbytes > nbytes:
                grown[number] = Grown(written.nbytes, written.sha256, b"".join(now[marks:]).hex())
                self._noted[number] = (written.nbytes, len(now))
        with writing(self._journal.path):
            self._journal.add(Record(grown, state))
        unfinished.difference_update(self._hidden)  # the end of the process is not a reason to remove them any more

    def is_worth_keeping(self, error: BaseException) -> bool:
        """Tell whether a later run could go on after this error, and get further."""
        if all(file.temporary.is_at(file.target) for file in self._files):
            return False  # a signal has waited until all had their names
        return any(nbytes for nbytes, _ in self._noted) and (self.sealed or _may_go_on(error))


@contextmanager
def resumable(paths: Sequence[Path], run: Run, *, force: bool, option: str = "-o") -> Iterator[Resumable]:
    """Open files that all get their names when the block ends without an exception.

    If the block fails because of the system, the network or a signal, and something is recorded, hidden files stay for
    a later run, and `run.tell` hears of it. Any other failure removes them. Where the file system does not have locks,
    nothing is recorded.

    Raises:
        OutputError: Another run writes the same files; or see `replacing`.
    """
    hidden = hidden_files(run.key, paths)
    journal = _journal(hidden.journal, paths[0], option)
    if journal is None:
        with replacing(paths, force=force, option=option) as outputs:
            yield Resumable(outputs)
        return
    files: list[Complete] = []
    started: _Journaled | None = None
    keep = False
    try:
        check_alone(paths, but=hidden.journal)
        for path, name in zip(paths, hidden.data, strict=True):
            with writing(path, option):
                files.append(Complete(Temporary(name.parent, name), path, real(path), option))
        with beside(len(files), files=True) as lanes:
            outputs_of_run = _Journaled(files, hidden, journal, lanes)
            outputs_of_run.start(run)
            started = outputs_of_run
            yield started
            complete(files, lanes)
        started.sealed = True
        give_names(files, force=force)
    except BaseException as error:
        # Before the start, what an earlier run has left is as good as it was.
        keep = bool(journal.held.records) if started is None else started.is_worth_keeping(error)
        if keep:
            sentence = (
                f"What is done of {listed([str(path) for path in paths])} is kept ({hidden.nbytes:,} bytes): run the "
                f"same again to go on, add --restart to start anew, or delete {hidden.pattern}."
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


def _journal(path: Path, output: Path, option: str) -> Journal | None:
    """Open the journal; None where the file system does not have locks."""
    with writing(output, option):
        try:
            return Journal(path)
        except BlockingIOError:
            raise busy(output) from None
        except NoLocksError:
            path.unlink()
            return None


def _end(files: Sequence[Complete], journal: Journal, *, keep: bool) -> None:
    with deferred():
        for file in files:
            if keep:
                file.temporary.keep()
            else:
                file.temporary.discard()
        if not keep:
            journal.remove()
        unfinished.discard(str(journal.path))
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
