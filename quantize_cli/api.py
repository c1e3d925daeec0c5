"""The whole job in one call, which turns a model into GGUF files and reports."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, TypeAlias, Unpack, overload

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.keywords import Keywords, PlanKeywords, check_keywords, plan_options
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.outputs import check_output, check_room
from quantize_cli.planning.model import Plan
from quantize_cli.planning.planner import make_plans
from quantize_cli.report.model import Report
from quantize_cli.report.write import check_report_path, write_report
from quantize_cli.run.targets import check_request, opened, shown, sizes, target_of

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
) -> list[Report]: ...
def quantize(
    model: str | Path,
    formats: str | Several,
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Report | list[Report]:
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
        QuantizeError: See `quantize_cli.errors`. No unfinished file is left behind.
    """
    check_keywords("quantize", options, Keywords.__optional_keys__)
    mixes, meant, observer = _mixes(formats), plan_options(options), observer or Observer()
    place, report, force = _path(output), options.get("report"), options.get("force", False)
    if report is not None:
        _check_report(Path(report), place, force=force)
    check_request(place, len(mixes), in_parts=meant.keep_split or meant.split_max_size is not None, force=force)
    with closing(open_checkpoint(model, options.get("revision"), observer)) as checkpoint:
        started = time.perf_counter()
        plans = make_plans(checkpoint, mixes, options.get("pre_tokenizer"), meant)
        _return_free_memory()
        for sentence in dict.fromkeys(sentence for plan in plans for sentence in plan.warnings):
            observer.warned(sentence)
        targets = [target_of(plan, place) for plan in plans]
        _check_written(sizes(targets, plans), checkpoint, options)
        planned = time.perf_counter()
        checkpoint.fetch(observer)
        started += time.perf_counter() - planned  # a download is not the run's work
        # Numba is slow to import, and neither planning nor a refusal needs it.
        from quantize_cli.report.build import RunFacts, build_report
        from quantize_cli.run.compiling import prepare
        from quantize_cli.run.executor import available_threads, run
        from quantize_cli.run.kernels import kernels_of_plans

        threads = options.get("threads") or available_threads()
        compile_seconds = prepare(kernels_of_plans(plans), observer)
        started += compile_seconds
        with opened(targets, force=force) as sinks:
            results = run(plans, checkpoint, sinks, importance=meant.importance, threads=threads, observer=observer)
        seconds = time.perf_counter() - started
    reports = [
        build_report(plan, result.sums, RunFacts(shown(target), plan.file_bytes, seconds, threads, compile_seconds))
        for plan, result, target in zip(plans, results, targets, strict=True)
    ]
    if report is not None:
        write_report(reports, Path(report), force=force)
    for finished in reports:
        observer.finished(finished)
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


def _mixes(formats: str | Several) -> list[Mix]:
    mixes = [find_format(name) for name in ([formats] if isinstance(formats, str) else formats)]
    if not mixes:
        raise UsageError("No format is given; name at least one.")
    if repeated := next((mix.name for mix in mixes if mixes.count(mix) > 1), None):
        raise UsageError(f"The format {repeated} is given twice; name each format once.")
    return mixes


def _path(output: Output) -> Path | BinaryIO | None:
    return Path(output) if isinstance(output, str) else output


def _check_report(report: Path, output: Path | BinaryIO | None, *, force: bool) -> None:
    """Refuse a report that could not be written, or that would overwrite the model."""
    if isinstance(output, Path) and os.path.realpath(output) == os.path.realpath(report):
        raise UsageError(f"{report} cannot hold both the model and its report; give --report another path.")
    check_report_path(report, force=force)


def _check_written(files: Mapping[Path, int], checkpoint: Checkpoint, options: Keywords) -> None:
    """Refuse files that would overwrite what the run reads, or that cannot be written."""
    imatrix, report = options.get("imatrix"), options.get("report")
    read = os.path.realpath(imatrix) if isinstance(imatrix, str | Path) else None
    chosen = {**dict.fromkeys(files, "-o"), **({} if report is None else {Path(report): "--report"})}
    for path, option in chosen.items():
        if checkpoint.reads(path) or os.path.realpath(path) == read:
            raise UsageError(f"{path} is one of the files that the run reads; choose another path with {option}.")
    for path in files:
        check_output(path, force=options.get("force", False))
    check_room({**files, **checkpoint.missing})


def _return_free_memory() -> None:
    """Return freed memory to the system; planning a tokenizer of 150,000 tokens leaves 140 MiB of it with glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
