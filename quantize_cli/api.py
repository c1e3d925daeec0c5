"""The whole job in one call, which turns a model into GGUF files and reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Unpack, cast, overload

from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.job import Output, ahead_of, ask, fill, prepare, report
from quantize_cli.keywords import (
    Keywords,
    PlanKeywords,
    VerifyKeywords,
    budget_of,
    check_keywords,
    check_undecided,
    plan_options,
)
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.planning.model import Plan
from quantize_cli.planning.planner import make_plans
from quantize_cli.report.model import Report, SourceReport
from quantize_cli.report.several import Reports

if TYPE_CHECKING:
    from quantize_cli.advice.model import Advice
    from quantize_cli.inspection.model import Inspection
    from quantize_cli.previews.model import Preview
    from quantize_cli.verification.model import Verification

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
    formats: Several = (),
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Reports: ...
def quantize(
    model: str | Path,
    formats: str | Several = (),
    output: Output = None,
    *,
    observer: Observer | None = None,
    **options: Unpack[Keywords],
) -> Report | Reports:
    """Read `model` once and quantize it to a GGUF file for each of `formats`.

    Whatever can be refused without the weights is refused before they are downloaded from the Hub.

    Args:
        model: A folder, a `.safetensors` or `.gguf` file, or a Hub id.
        formats: A llama.cpp name, in any case: "q4_k_m"; or several of them; or none, with a budget among the options.
        output: The file to write, a folder for it, or a binary stream; default: the current folder. In a folder a file
            is called `<model's name>-<FORMAT>.gguf`. Several formats need a folder.
        observer: Receives events while the run works.
        **options: See `quantize_cli.keywords.Keywords`.

    Returns:
        A report, or for several formats a list of reports in their order, or for a budget a list of one.

    Raises:
        QuantizeError: See `quantize_cli.errors`. If the system, the network or a signal has ended the run, hidden files
            stay, so that the same call goes on from there; see docs/resume.md. After a GateError, the complete files
            are there if `keep_failed` asks for it, and the observer has their reports.
    """
    check_keywords("quantize", options, Keywords.__optional_keys__)
    observer = observer or Observer()
    asked = ask(_mixes(formats, options), output, options, observer)
    stream = options.get("stream", False)
    with (
        closing(open_checkpoint(model, options.get("revision"), observer, stream=stream)) as checkpoint,
        ahead_of(asked, checkpoint) as ahead,
    ):
        ready = prepare(asked, checkpoint, ahead)
        checkpoint.fetch(observer)
        done = fill(asked, ready, checkpoint, ahead)
        source = SourceReport(checkpoint.location, checkpoint.repository, checkpoint.commit)
    reports = report(asked, ready, done, source)
    return reports[0] if isinstance(formats, str) else reports


@overload
def plan(model: str | Path, formats: str, **options: Unpack[PlanKeywords]) -> Plan: ...
@overload
def plan(model: str | Path, formats: Several = (), **options: Unpack[PlanKeywords]) -> list[Plan]: ...
def plan(model: str | Path, formats: str | Several = (), **options: Unpack[PlanKeywords]) -> Plan | list[Plan]:
    """Plan what `quantize` would write, from headers alone; no weight is read or downloaded.

    Args:
        model: As for `quantize`.
        formats: As for `quantize`.
        **options: See `quantize_cli.keywords.PlanKeywords`.

    Returns:
        A plan, or for several formats a list of plans in their order, or for a budget a list of one.

    Raises:
        QuantizeError: See `quantize_cli.errors`.
    """
    check_keywords("plan", options, PlanKeywords.__optional_keys__)
    mixes, meant = _mixes(formats, options), plan_options(options)
    with closing(open_checkpoint(model, options.get("revision"))) as checkpoint:
        plans = make_plans(checkpoint, mixes, options.get("pre_tokenizer"), meant)
    return plans[0] if isinstance(formats, str) else plans


def preview(
    model: str | Path,
    formats: str | Several = (),
    *,
    threads: int | None = None,
    fits: int | str | None = None,
    observer: Observer | None = None,
    **options: Unpack[PlanKeywords],
) -> Preview:
    """Find out what `quantize` would write and take, from headers alone; no weight is read or downloaded.

    Args:
        model: As for `quantize`.
        formats: As for `quantize`; without any and without a budget, the preview has the size of one file in every
            format.
        threads: Number of threads of the run; default: one for each processor.
        fits: Bytes of memory that running the file may take, or "16GiB".
        observer: Receives a sentence when headers are read from the Hub.
        **options: See `quantize_cli.keywords.PlanKeywords`; without a format or a budget, only `revision`,
            `pre_tokenizer` and `context`.

    Returns:
        The plans of the formats, and estimates of the memory that the run and each file take.

    Raises:
        QuantizeError: See `quantize_cli.errors`.
    """
    from quantize_cli.planning.memory import parse_memory
    from quantize_cli.previews.build import (
        Circumstances,
        check_circumstances,
        preview_of_formats,
        preview_of_plans,
    )

    check_keywords("preview", options, PlanKeywords.__optional_keys__)
    circumstances = Circumstances(threads, options.get("context"), None if fits is None else parse_memory(fits))
    check_circumstances(circumstances)
    decided = bool(formats) or budget_of(options) is not None
    mixes, meant = _mixes(formats, options) if decided else [], plan_options(options)
    if not decided:
        check_undecided(options)
    with closing(open_checkpoint(model, options.get("revision"), observer)) as checkpoint:
        if decided:
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
    from quantize_cli.inspection.build import inspected

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


def advise(
    models: str | Path | Sequence[str | Path],
    memory: int | str,
    *,
    context: int | None = None,
    evaluations: Sequence[str | Path] = (),
    observer: Observer | None = None,
) -> Advice:
    """Find out which models, and in which formats, run in a memory; no weight is read or downloaded.

    Args:
        models: One or several, each as for `quantize`; a quantized GGUF file stands for itself.
        memory: Bytes that running a file may take, or "16GiB".
        context: Tokens of the context that a file is to be run with; default: each model's, at most 4,096.
        evaluations: JSON files of `quantize eval`; the files that they measured take the place of their formats.
        observer: Receives a sentence when headers are read from the Hub.

    Returns:
        The files that fit: the largest model first, and of each model most bits first.

    Raises:
        QuantizeError: A model cannot be opened or converted, nothing fits, or an argument is wrong.
    """
    from quantize_cli.advice.build import Terms, advised
    from quantize_cli.advice.measured import read_measurements
    from quantize_cli.planning.memory import parse_memory
    from quantize_cli.previews.build import Circumstances, check_circumstances

    check_circumstances(Circumstances(context=context))
    named = [models] if isinstance(models, str | Path) else [*dict.fromkeys(models)]
    measured = tuple(read_measurements(Path(path)) for path in evaluations)
    return advised(named, Terms(parse_memory(memory), context, measured), observer or Observer())


def _mixes(formats: str | Several, options: PlanKeywords) -> list[Mix]:
    """Return the formats; none if there is a budget in their place."""
    mixes = [find_format(name) for name in ([formats] if isinstance(formats, str) else formats)]
    if budget := budget_of(options):
        if mixes:
            raise UsageError(f"{budget} takes the place of a format; leave {mixes[0].name} out, or the budget.")
        return []
    if not mixes:
        raise UsageError("No format is given; name at least one.")
    if repeated := next((mix.name for mix in mixes if mixes.count(mix) > 1), None):
        raise UsageError(f"The format {repeated} is given twice; name each format once.")
    return mixes
