"""The main job in its steps: what is asked for, what headers tell, the files, and what follows them.

Each step refuses whatever it can before the next one takes time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.choosing import Kept, Step, check_engine, feeds_back, foretold, identity_of_kept, kept, rivals_of
from quantize_cli.errors import OutputError, UsageError
from quantize_cli.gates.check import check_before, judge, refuse_failed
from quantize_cli.gates.parse import Gate, parse_gates
from quantize_cli.gates.result import GateResult
from quantize_cli.hub_upload.asked import asked_push, license_of
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.keywords import Keywords, held, plain_values, plan_options
from quantize_cli.mixes.base import Mix
from quantize_cli.observer import Observer
from quantize_cli.outputs.checks import check_room, same_file
from quantize_cli.outputs.hidden import check_alone, room_needed
from quantize_cli.outputs.leftovers import leftovers
from quantize_cli.outputs.recovery import Run
from quantize_cli.outputs.sinks import Written, real
from quantize_cli.planning.model import Plan
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import make_plans
from quantize_cli.report.model import ImatrixReport, Report, SourceReport
from quantize_cli.report.several import Reports
from quantize_cli.report.type_list import check_type_list, write_type_list
from quantize_cli.report.write import check_report_path, report_paths, write_report
from quantize_cli.run.ahead import KernelsAhead
from quantize_cli.run.bounds import available_threads
from quantize_cli.run.progress import identity_of, key_of
from quantize_cli.run.targets import (
    Folder,
    Place,
    Stream,
    Target,
    check_files,
    check_place,
    opened,
    place_of,
    sizes,
    target_of,
)
from quantize_cli.tokenizers.sandbox import meanwhile

if TYPE_CHECKING:
    from quantize_cli.hub_upload.push import Push
    from quantize_cli.run.executor import RunResult

#: A file, a folder or a stream; None is the current folder.
Output: TypeAlias = str | Path | BinaryIO | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for; nothing of it depends on the model."""

    mixes: Sequence[Mix]
    options: Keywords
    meant: PlanOptions
    observer: Observer
    place: Place
    gates: Sequence[Gate]
    reports: Sequence[Path]
    push: Push | None

    @property
    def force(self) -> bool:
        """Whether existing files may be overwritten."""
        return self.options.get("force", False)

    @property
    def keep_failed(self) -> bool:
        """Whether files that fail a gate are kept."""
        return self.options.get("keep_failed", False)


@dataclass(frozen=True, slots=True)
class Ready:
    """What is to be done, from headers alone."""

    plans: Sequence[Plan]
    rivals: Sequence[Plan | None]  #: what a method's files are compared with; see `choosing.rivals_of`
    targets: Sequence[Target]
    key: str  #: of the hidden files, by which a later run finds what this one has left
    seconds: float  #: that it took to find out


@dataclass(frozen=True, slots=True)
class Done:
    """What has been done; items are in the order of the plans."""

    files: Sequence[Kept]  #: what was written in each plan's place
    results: Sequence[RunResult]
    written: Sequence[Sequence[Written]]
    judged: Mapping[str, Sequence[GateResult]]  #: by format
    compile_seconds: float
    seconds: float


def ask(mixes: Sequence[Mix], output: Output, options: Keywords, observer: Observer) -> Asked:
    """Find out what is asked for.

    Raises:
        QuantizeError: No model can make it right.
    """
    options = held(options)
    meant, gates = plan_options(options), parse_gates(options)
    in_parts = meant.keep_split or meant.split_max_size is not None
    place, reports = place_of(output, max(len(mixes), 1), in_parts=in_parts), report_paths(options.get("report"))
    force, to_files = options.get("force", False), not isinstance(place, Stream)
    for path in reports:
        _check_report(path, place, force=force)
    check_place(place, in_parts=in_parts, force=force)
    if options.get("context") is not None and options.get("memory") is None:
        raise UsageError("--context counts for --memory alone; leave it out, or give --memory.")
    if (type_list := options.get("write_tensor_types")) is not None:
        check_type_list(Path(type_list), len(mixes), force=force)
    push = asked_push(options.get("push_to"), public=options.get("public", False), to_files=to_files)
    check_engine(meant.method, options.get("device"), stream=options.get("stream", False))
    return Asked(mixes, options, meant, observer, place, gates, reports, push)


def ahead_of(asked: Asked, checkpoint: Checkpoint) -> KernelsAhead:
    """Return what `prepare` begins and `fill` ends: kernels that are compiled meanwhile."""
    return KernelsAhead(asked.mixes, checkpoint, weighted=asked.meant.importance is not None)


def prepare(asked: Asked, checkpoint: Checkpoint, ahead: KernelsAhead) -> Ready:
    """Plan, and refuse what cannot end well, before a weight is read or downloaded.

    Raises:
        QuantizeError: See `quantize_cli.errors`.
    """
    started = time.perf_counter()
    with meanwhile(ahead.begin):
        plans = make_plans(checkpoint, asked.mixes, asked.options.get("pre_tokenizer"), asked.meant)
        rivals = rivals_of(checkpoint, plans, asked.options.get("pre_tokenizer"), asked.meant)
    for sentence in dict.fromkeys(sentence for plan in plans for sentence in plan.warnings):
        asked.observer.warned(sentence)
    check_before(asked.gates, plans, keep_failed=asked.keep_failed)
    targets = [target_of(plan, asked.place) for plan in plans]
    files = sizes(targets, plans)
    chosen = {**dict.fromkeys(files, "-o"), **dict.fromkeys(asked.reports, "--report")}
    _check_sources(chosen, checkpoint, asked.meant)
    check_files(list(files), asked.place, force=asked.force)
    check_alone(list(files))
    key = key_of(plans, [path.name for path in files])
    ready = Ready(plans, rivals, targets, key, time.perf_counter() - started)
    room = Counter({**room_needed(files, key), **checkpoint.missing})
    method = foretold(_step(asked, ready), checkpoint) if asked.meant.method is not None else None
    if method is not None:
        room.update(method.room)
    check_room(room)
    for sentence in leftovers(dict.fromkeys(path.parent for path in files), but=key, outputs=files):
        asked.observer.noted(sentence)
    if asked.push is not None:
        asked.push.prepare()
    if method is not None:
        asked.observer.noted(method.sentence)
    return replace(ready, seconds=time.perf_counter() - started)


def fill(asked: Asked, ready: Ready, checkpoint: Checkpoint, ahead: KernelsAhead) -> Done:
    """Write the files, which are all here: those of `checkpoint.fetch`.

    Raises:
        QuantizeError: See `quantize_cli.errors`. If the system, the network or a signal has ended the run, hidden files
            stay for a later one.
    """
    # Numba is slow to import, and neither planning nor a refusal needs it.
    from quantize_cli.run.compiling import prepare as compile_kernels
    from quantize_cli.run.executor import run
    from quantize_cli.run.kernels import kernels_of_plans, kernels_of_rounding

    options, observer = asked.options, asked.observer
    rivals = [rival for rival in ready.rivals if rival is not None]
    kernels = kernels_of_plans([*ready.plans, *rivals])
    if feeds_back(asked.meant.method):
        kernels += [kernel for kernel in kernels_of_rounding(ready.plans) if kernel not in kernels]
    compile_seconds = compile_kernels(kernels, observer, ahead)
    with kept(_step(asked, ready), checkpoint) as best:
        started = time.perf_counter()
        plans = [held.plan for held in best]
        identity = {**identity_of(checkpoint), **identity_of_kept(best)}
        this = Run(ready.key, identity, restart=options.get("restart", False), tell=observer.noted)
        with opened(_targets(asked, ready, plans), asked.place, this, force=asked.force) as files:
            results = run(
                plans,
                checkpoint,
                files.sinks,
                importance=asked.meant.importance,
                chosen=[held.blocks for held in best],
                threads=options.get("threads") or available_threads(),
                observer=observer,
                progress=files.progress,
            )
            judged = {
                plan.format: judge(asked.gates, plan, result.sums) for plan, result in zip(plans, results, strict=True)
            }
            if not asked.keep_failed:
                refuse_failed(judged, kept=False)
    return Done(
        files=best,
        results=results,
        written=[[sink.written for sink in sinks] for sinks in files.sinks],
        judged=judged,
        compile_seconds=compile_seconds,
        seconds=ready.seconds + time.perf_counter() - started + files.progress.earlier_seconds,
    )


def report(asked: Asked, ready: Ready, done: Done, source: SourceReport) -> Reports:
    """Write the reports, tell the observer, and upload the files.

    Raises:
        GateError: A gate failed, and the files are kept.
        OutputError: A report cannot be written, or the upload failed.
    """
    from quantize_cli.report.build import RunFacts, build_report

    facts = RunFacts(
        source=source,
        imatrix=_imatrix_report(asked.meant.importance),
        options=plain_values(asked.options),
        compile_seconds=done.compile_seconds,
        seconds=done.seconds,
        threads=done.results[0].threads,
    )
    reports = Reports(
        build_report(held.plan, result.sums, written, facts, done.judged[held.plan.format], held.outcome)
        for held, result, written in zip(done.files, done.results, done.written, strict=True)
    )
    for path in asked.reports:
        _write_report(reports, path, force=asked.force)
    if (type_list := asked.options.get("write_tensor_types")) is not None:
        write_type_list(done.files[0].plan, Path(type_list), force=asked.force)
    for finished in reports:
        asked.observer.finished(finished)
    refuse_failed(done.judged, kept=True)
    if asked.push is not None:
        asked.push.upload(reports, license_of(ready.plans[0].files[0].metadata), asked.observer)
    return reports


def _step(asked: Asked, ready: Ready) -> Step:
    return Step(
        options=asked.meant,
        plans=ready.plans,
        rivals=ready.rivals,
        outputs=[target[0] if isinstance(target, list) else None for target in ready.targets],
        folder=asked.place.path if isinstance(asked.place, Folder) else None,
        device=asked.options.get("device"),
        threads=asked.options.get("threads") or available_threads(),
        restart=asked.options.get("restart", False),
        observer=asked.observer,
    )


def _targets(asked: Asked, ready: Ready, plans: Sequence[Plan]) -> Sequence[Target]:
    """Name the files of plans that may have taken the place of others, and have their names."""
    return [
        target_of(replace(plan, format=planned.format), asked.place)
        for plan, planned in zip(plans, ready.plans, strict=True)
    ]


def _check_report(report: Path, place: Place, *, force: bool) -> None:
    """Refuse a report that could not be written, or that would overwrite the model."""
    if isinstance(place, Path) and same_file(place, report):
        raise UsageError(f"{report} cannot hold both the model and its report; give --report another path.")
    check_report_path(report, force=force)


def _check_sources(chosen: Mapping[Path, str], checkpoint: Checkpoint, meant: PlanOptions) -> None:
    """Refuse outputs, each with the option that chose it, that would overwrite what the run reads, or each other."""
    for path, option in chosen.items():
        if checkpoint.reads(path) or any(same_file(path, read) for read in meant.files):
            raise UsageError(f"{path} is one of the files that the run reads; choose another path with {option}.")
    places: dict[Path, Path] = {}
    for path in chosen:
        if (other := places.setdefault(real(path), path)) != path:
            raise UsageError(f"{other} and {path} are the same file; remove the link, or choose another path with -o.")


def _imatrix_report(matrix: ImportanceMatrix | None) -> ImatrixReport | None:
    if matrix is None:
        return None
    return ImatrixReport(matrix.file, len(matrix.entries), matrix.chunks, matrix.datasets)


def _write_report(reports: Sequence[Report], path: Path, *, force: bool) -> None:
    try:
        write_report(reports, path, force=force)
    except OutputError as error:
        raise OutputError(f"{str(error).removesuffix('.')}; the model itself is complete.") from error
