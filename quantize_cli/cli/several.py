"""One model or several, each on its own: one that fails does not stop the others."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from quantize_cli.cli import console, report_places, table
from quantize_cli.cli.failures import ending
from quantize_cli.cli.options import output_stream
from quantize_cli.cli.words import with_near_names
from quantize_cli.errors import GateError, UsageError, printable

if TYPE_CHECKING:
    from quantize_cli.planning.model import Plan
    from quantize_cli.report.model import Report
    from quantize_cli.tasks import Task


@dataclass(frozen=True, slots=True)
class After:
    """What follows when the files of a task are complete."""

    as_json: bool  #: print the reports on standard output
    quiet: bool  #: do not show them on standard error
    checksums: Path | None  #: file for the checksums of all tasks
    modelfile: bool  #: write a Modelfile beside each file


@dataclass(slots=True)
class Outcome:
    """What became of one task."""

    task: Task
    reports: list[Report] = field(default_factory=list)
    code: int = 0
    sentence: str | None = None  #: what ended it, if it failed


def _check(tasks: Sequence[Task], after: After, *, force: bool) -> None:
    """Refuse one report for several models, and a list of checksums that could not be written after the run."""
    reports: list[str | Path] = []
    for task in tasks:
        paths, printed = report_places.parted(task.options.get("report"), model_printed=task.output == "-")
        if printed and after.as_json:
            raise UsageError("Standard output holds one kind of report; leave --json out, or give --report a file.")
        reports += {**dict.fromkeys(paths), **({f"{printed[1:]}:-": None} if printed else {})}
    if twice := next((report for report in reports if reports.count(report) > 1), None):
        raise UsageError(f"--report {twice} can hold one model; for several, --json prints a line for each file.")
    repositories = [name for task in tasks if (name := task.options.get("push_to")) is not None]
    if len(repositories) > len({*repositories}):
        raise UsageError("--push-to takes the files of one model; upload several one after another.")
    if after.checksums is not None:
        from quantize_cli.report.checksums import check_checksums_path

        check_checksums_path(after.checksums, force=force)


def run(tasks: Sequence[Task], after: After, *, debug: bool) -> int:
    """Do the tasks, and return the exit code; the error of a task that is alone is raised.

    The code is that of all tasks that failed, or 1 if they failed in different ways.

    Raises:
        UsageError: One report is to hold several models.
        QuantizeError: That of the only task; or the checksums cannot be written.
    """
    force = any(bool(task.options.get("force")) for task in tasks)
    _check(tasks, after, force=force)
    outcomes = [Outcome(task) for task in tasks]
    taken: set[str] = set()
    try:
        for number, outcome in enumerate(outcomes, 1):
            if len(outcomes) == 1:
                _do(outcome, after, taken)
            else:
                if not after.quiet:
                    console.say(f"[{number}/{len(outcomes)}] {outcome.task.model}")
                _try(outcome, after, taken, debug=debug)
    finally:  # files may be there after an error too
        _write_checksums(outcomes, after, force=force)
    if len(outcomes) > 1 and not after.quiet:
        _summarise(outcomes)
    codes = {outcome.code for outcome in outcomes if outcome.code}
    return codes.pop() if len(codes) == 1 else min(len(codes), 1)


def _write_checksums(outcomes: Sequence[Outcome], after: After, *, force: bool) -> None:
    reports = [report for outcome in outcomes for report in outcome.reports]
    if after.checksums is not None and reports:
        from quantize_cli.report.checksums import write_checksums

        write_checksums(reports, after.checksums, force=force)


def _try(outcome: Outcome, after: After, taken: set[str], *, debug: bool) -> None:
    """Do a task; whatever ends it becomes a sentence, but a signal and a reader that is gone end all."""
    try:
        _do(outcome, after, taken)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  whatever ends one model does not end the others
        end = ending(error)
        outcome.code, outcome.sentence = end.code, end.sentence
        console.fail(f"{outcome.task.model}: {end.sentence}", error if debug else None)


def _do(outcome: Outcome, after: After, taken: set[str]) -> None:
    from quantize_cli.api import quantize

    task, failed = outcome.task, None
    report, printed = report_places.parted(task.options.get("report"), model_printed=task.output == "-")
    keywords = {**task.options, "report": report}
    with (
        console.progress(quiet=after.quiet, before=lambda plan: _before(task, plan, after, taken)) as observer,
        with_near_names(task.model),
    ):
        try:
            quantize(task.model, list(task.formats), output_stream(task.output), observer=observer, **keywords)
        except GateError as error:  # the files may be kept, and then they are reported
            failed = error
    outcome.reports.extend(observer.reports)
    if outcome.reports:
        _follow(outcome, after)
        report_places.show(outcome.reports, printed)
    if failed is not None:
        raise failed


def _follow(outcome: Outcome, after: After) -> None:
    if after.as_json:
        from quantize_cli.report.json_report import as_json

        for report in outcome.reports:
            console.put(json.dumps(as_json(report), allow_nan=False))
    if not after.quiet:
        console.show(outcome.reports)
    if after.modelfile:
        from quantize_cli.report.usage import write_modelfiles

        for path in write_modelfiles(outcome.reports, force=bool(outcome.task.options.get("force"))):
            if not after.quiet:
                console.show_use(f"ollama create {shlex.quote(path.stem.lower())} -f {shlex.quote(str(path))}")


def _before(task: Task, plan: Plan, after: After, taken: set[str]) -> None:
    """Refuse what would fail after the run: files that replace those of another task, and Modelfiles.

    Raises:
        UsageError: The files would, even with --force; or a Modelfile would have to name several files.
        OutputError: A Modelfile cannot be written.
    """
    from quantize_cli.mixes.find import find_format

    output = task.output
    whole = output is not None and not output.endswith("/") and not os.path.isdir(output)  # noqa: PTH112
    formats = [find_format(name).name for name in task.formats] or [plan.format]  # without any, that of a budget
    names = [""] if whole else [f"{plan.model}-{name}.gguf" for name in formats]
    paths = [os.path.join(output or "", name) if name else str(output) for name in names]  # noqa: PTH118
    for path in map(os.path.realpath, paths):
        if path in taken:
            raise UsageError(f"{path} is the output of another model of this command; name another folder with -o.")
        taken.add(path)
    if after.modelfile:
        from quantize_cli.report.usage import check_modelfiles

        check_modelfiles(paths, len(plan.files), force=bool(task.options.get("force")))


def _summarise(outcomes: Sequence[Outcome]) -> None:
    from quantize_cli.report.figures import NONE, percent, size

    rows = []
    for outcome in outcomes:
        model = printable(str(outcome.task.model))
        rows += [
            (
                model,
                report.format,
                size(report.totals.file_bytes),
                percent(report.totals.error.relative_rmse),
                printable(outcome.sentence or report.output),
            )
            for report in outcome.reports
        ] or [(model, NONE, NONE, NONE, printable(outcome.sentence or ""))]
    console.say("")
    for line in table.lines(("model", "format", "size", "rel. RMSE", "result"), rows, right=frozenset({2, 3})):
        console.say(line)
    failed = sum(outcome.code != 0 for outcome in outcomes)
    console.say(f"{len(outcomes) - failed} of {len(outcomes)} models are complete.")
