"""The whole job in one call, which turns a model into GGUF files and reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, TypeAlias, Unpack, cast, overload

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import OutputError, UsageError
from quantize_cli.gates.check import check_before, judge, refuse_failed
from quantize_cli.gates.parse import parse_gates
from quantize_cli.hub_upload.asked import asked_push, license_of
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.inspection.build import inspected
from quantize_cli.inspection.model import Inspection
from quantize_cli.keywords import (
    Keywords,
    PlanKeywords,
    VerifyKeywords,
    check_keywords,
    check_undecided,
    held,
    plain_values,
    plan_options,
)
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.outputs.checks import check_room, same_file
from quantize_cli.outputs.hidden import check_alone, room_needed
from quantize_cli.outputs.leftovers import leftovers
from quantize_cli.outputs.recovery import Run
from quantize_cli.outputs.sinks import real
from quantize_cli.planning.memory import parse_memory
from quantize_cli.planning.model import Plan
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import make_plans
from quantize_cli.previews.build import Circumstances, check_circumstances, preview_of_formats, preview_of_plans
from quantize_cli.previews.model import Preview
from quantize_cli.report.model import ImatrixReport, Report, SourceReport
from quantize_cli.report.several import Reports
from quantize_cli.report.write import check_report_path, report_paths, write_report
from quantize_cli.run.bounds import available_threads
from quantize_cli.run.progress import identity_of, key_of
from quantize_cli.run.targets import Place, Stream, check_files, check_place, opened, place_of, sizes, target_of
from quantize_cli.verification.model import Verification

#: A file, a folder or a stream; None is the current folder.
Output: TypeAlias = str | Path | BinaryIO | None

#: Names of several formats.
Several: TypeAlias = list[str] | tuple[str, ...]


@overload
def quantize(
    model: str | Path,
    formats: str,
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Report: ...
@overload
def quantize(
    model: str | Path,
    formats: Several,
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Reports: ...
def quantize(
    model: str | Path,
    formats: str | Several,
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Report | Reports:
    """Read `model` once and quantize it to a GGUF file for each of `formats`.

    Whatever can be refused without the weights is refused before they are downloaded from the Hub.

    Args:
        model: A folder, a `.safetensors` or `.gguf` file, or a Hub id.
        formats: A llama.cpp name, in any case: "q4_k_m"; or several of them.
        output: The file to write, a folder for it, or a binary stream; default: the current folder. In a folder a file
            is called `<model's name>-<FORMAT>.gguf`. Several formats need a folder.
        observer: Receives events while the run works.
        **options: See `quantize_cli.keywords.Keywords`.

    Returns:
        A report, or for several formats a list of reports in the order of the formats.

    Raises:
        QuantizeError: See `quantize_cli.errors`. If the system, the network or a signal has ended the run, hidden files
            stay, so that the same call goes on from there; see docs/resume.md. After a GateError, the complete files
            are there if `keep_failed` asks for it, and the observer has their reports.
    """
    check_keywords("quantize", options, Keywords.__optional_keys__)
    options = held(options)
    mixes, meant, observer = _mixes(formats), plan_options(options), observer or Observer()
    gates, keep_failed = parse_gates(options), options.get("keep_failed", False)
    force, in_parts = options.get("force", False), meant.keep_split or meant.split_max_size is not None
    place, paths = place_of(output, len(mixes), in_parts=in_parts), report_paths(options.get("report"))
    for path in paths:
        _check_report(path, place, force=force)
    check_place(place, in_parts=in_parts, force=force)
    to_files = not isinstance(place, Stream)
    push = asked_push(options.get("push_to"), public=options.get("public", False), to_files=to_files)
    with closing(
        open_checkpoint(model, options.get("revision"), observer, stream=options.get("stream", False))
    ) as checkpoint:
        started = time.perf_counter()
        plans = make_plans(checkpoint, mixes, options.get("pre_tokenizer"), meant)
        for sentence in dict.fromkeys(sentence for plan in plans for sentence in plan.warnings):
            observer.warned(sentence)
        check_before(gates, plans, keep_failed=keep_failed)
        targets = [target_of(plan, place) for plan in plans]
        files = sizes(targets, plans)
        _check_sources({**dict.fromkeys(files, "-o"), **dict.fromkeys(paths, "--report")}, checkpoint, meant)
        check_files(list(files), place, force=force)
        check_alone(list(files))
        key = key_of(plans, [path.name for path in files])
        check_room({**room_needed(files, key), **checkpoint.missing})
        for sentence in leftovers(dict.fromkeys(path.parent for path in files), but=key, outputs=files):
            observer.noted(sentence)
        if push is not None:
            push.prepare()
        planned = time.perf_counter()
        checkpoint.fetch(observer)
        started += time.perf_counter() - planned  # a download is not the run's work
        # Numba is slow to import, and neither planning nor a refusal needs it.
        from quantize_cli.report.build import RunFacts, build_report
        from quantize_cli.run.compiling import prepare
        from quantize_cli.run.executor import run
        from quantize_cli.run.kernels import kernels_of_plans

        threads = options.get("threads") or available_threads()
        compile_seconds = prepare(kernels_of_plans(plans), observer)
        started += compile_seconds
        this = Run(
            key,
            identity_of(checkpoint),
            restart=options.get("restart", False),
            tell=observer.noted,
        )
        with opened(targets, place, this, force=force) as opened_files:
            sinks, progress = opened_files.sinks, opened_files.progress
            results = run(
                plans,
                checkpoint,
                sinks,
                importance=meant.importance,
                threads=threads,
                observer=observer,
                progress=progress,
            )
            judged = {plan.format: judge(gates, plan, result.sums) for plan, result in zip(plans, results, strict=True)}
            if not keep_failed:
                refuse_failed(judged, kept=False)
        seconds = time.perf_counter() - started + progress.earlier_seconds
    facts = RunFacts(
        source=SourceReport(checkpoint.location, checkpoint.repository, checkpoint.commit),
        imatrix=_imatrix_report(meant.importance),
        options=plain_values(options),
        compile_seconds=compile_seconds,
        seconds=seconds,
        threads=results[0].threads,
    )
    reports = Reports(
        build_report(plan, result.sums, [sink.written for sink in sinks_of], facts, judged[plan.format])
        for plan, result, sinks_of in zip(plans, results, sinks, strict=True)
    )
    for path in paths:
        _write_report(reports, path, force=force)
    for finished in reports:
        observer.finished(finished)
    refuse_failed(judged, kept=True)
    if push is not None:
        push.upload(reports, license_of(plans[0].files[0].metadata), observer)
    return reports[0] if isinstance(formats, str) else reports


@overload
def plan(model: str | Path, formats: str, **options: Unpack[PlanKeywords]) -> Plan: ...
@overload
def plan(model: str | Path, formats: Several, **options: Unpack[PlanKeywords]) -> list[Plan]: ...
def plan(model: str | Path, formats: str | Several, **options: Unpack[PlanKeywords]) -> Plan | list[Plan]:
    """Plan what `quantize` would write, from headers alone; no weight is read or downloaded.

    Args:
        model: As for `quantize`.
        formats: As for `quantize`.
        **options: See `quantize_cli.keywords.PlanKeywords`.

    Returns:
        A plan, or for several formats a list of plans in the order of the formats.

    Raises:
        QuantizeError: See `quantize_cli.errors`.
    """
    check_keywords("plan", options, PlanKeywords.__optional_keys__)
    mixes, meant = _mixes(formats), plan_options(options)
    with closing(open_checkpoint(model, options.get("revision"))) as checkpoint:
        plans = make_plans(checkpoint, mixes, options.get("pre_tokenizer"), meant)
    return plans[0] if isinstance(formats, str) else plans


def preview(
    model: str | Path,
    formats: str | Several = (),
    *,
    threads: int | None = None,
    context: int | None = None,
    fits: int | str | None = None,
    observer: Observer | None = None,
    **options: Unpack[PlanKeywords],
) -> Preview:
    """Find out what `quantize` would write and take, from headers alone; no weight is read or downloaded.

    Args:
        model: As for `quantize`.
        formats: As for `quantize`; without any, the preview has the size of one file in every format.
        threads: Number of threads of the run; default: one for each processor.
        context: Tokens of the context that the file is to be run with; default: the model's, at most 4,096.
        fits: Bytes of memory that running the file may take, or "16GiB".
        observer: Receives a sentence when headers are read from the Hub.
        **options: See `quantize_cli.keywords.PlanKeywords`; without a format, only `revision` and `pre_tokenizer`.

    Returns:
        The plans of the formats, and estimates of the memory that the run and each file take.

    Raises:
        QuantizeError: See `quantize_cli.errors`.
    """
    check_keywords("preview", options, PlanKeywords.__optional_keys__)
    circumstances = Circumstances(threads, context, None if fits is None else parse_memory(fits))
    check_circumstances(circumstances)
    mixes, meant = _mixes(formats) if formats else [], plan_options(options)
    if not mixes:
        check_undecided(options)
    with closing(open_checkpoint(model, options.get("revision"), observer)) as checkpoint:
        if mixes:
            return preview_of_plans(checkpoint, mixes, options.get("pre_tokenizer"), meant, circumstances)
        return preview_of_formats(checkpoint, options.get("pre_tokenizer"), circumstances)


def inspect(model: str | Path, *, revision: str | None = None, pre_tokenizer: str | None = None) -> Inspection:
    """Find out everything that headers tell of a model; no weight is read or downloaded.

    Args:
        model: As for `quantize`.
        revision: As for `quantize`.
        pre_tokenizer: As for `quantize`.

    Returns:
        What is known. If the model cannot be converted, its `refusal` is the error that `quantize` would raise.

    Raises:
        QuantizeError: The model cannot be opened, or an argument is wrong.
    """
    with closing(open_checkpoint(model, revision)) as checkpoint:
        return inspected(checkpoint, pre_tokenizer)


def verify(
    file: str | Path,
    against: str | Path | None = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[VerifyKeywords],
) -> Verification:
    """Check a GGUF file, or all parts of one: container, padding, scales, and the digests that `quantize` writes.

    Args:
        file: The file, or one of its parts.
        against: The model that it was made from, as for `quantize`: its tensors are derived again and compared.
        observer: Receives events while the work goes on.
        **options: See `quantize_cli.keywords.VerifyKeywords`.

    Returns:
        What was found; faults of the file are findings, not errors.

    Raises:
        QuantizeError: The file does not exist, the model cannot be converted, or an option is wrong.
    """
    from quantize_cli.verification.verify import Model, verified

    check_keywords("verify", options, VerifyKeywords.__optional_keys__)
    keywords = {name: value for name, value in options.items() if name in PlanKeywords.__optional_keys__}
    model = None
    if against is not None:
        model = Model(
            model=against,
            format=options.get("format"),
            options=cast("PlanKeywords", keywords),
            sample=options.get("sample"),
            threads=options.get("threads"),
            stream=options.get("stream", False),
        )
    elif any(options.values()):
        raise UsageError("Only a comparison with the model takes options; give the model with --against.")
    return verified(Path(file), model, observer or Observer())


def _mixes(formats: str | Several) -> list[Mix]:
    mixes = [find_format(name) for name in ([formats] if isinstance(formats, str) else formats)]
    if not mixes:
        raise UsageError("No format is given; name at least one.")
    if repeated := next((mix.name for mix in mixes if mixes.count(mix) > 1), None):
        raise UsageError(f"The format {repeated} is given twice; name each format once.")
    return mixes


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
