"""The step of a method in the main job: what it needs, the blocks that it chooses, and which file is kept."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import GateError, UsageError
from quantize_cli.methods.outcome import REFERENCE
from quantize_cli.methods.table import METHODS
from quantize_cli.observer import Observer
from quantize_cli.outputs.folders import made
from quantize_cli.outputs.sinks import real
from quantize_cli.planning.budget import Like
from quantize_cli.planning.method_fields import (
    INSTEAD_OF,
    KLD,
    METHOD,
    REFERENCE_KLD,
    RIVAL_KLD,
    TENSORS,
    PlannedMethod,
    error_of,
    with_outcome,
)
from quantize_cli.planning.model import Plan
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import make_plans
from quantize_cli.sensitivity.check import check_statistics
from quantize_cli.sensitivity.model import Calibration

if TYPE_CHECKING:
    from quantize_cli.calibrate.method import Request
    from quantize_cli.calibrate.work import Work
    from quantize_cli.methods.chosen import Chosen
    from quantize_cli.methods.outcome import Measured, Outcome

#: Where an outcome is kept for a run that goes on.
_OUTCOME = "outcome.json"
#: What tells whose a folder of work is.
_TOLD = "key.json"


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """What is written in a plan's place."""

    plan: Plan  #: of the best file, which tells how good it is
    blocks: Chosen | None = None  #: what the method has chosen, if its file is the best
    outcome: Outcome | None = None  #: None without a method


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """The step of one run."""

    options: PlanOptions
    plans: Sequence[Plan]
    rivals: Sequence[Plan | None]  #: see `rivals_of`
    outputs: Sequence[Path | None]  #: the first file of each plan; None is a stream
    folder: Path | None  #: of all files, if the run makes it
    device: str | None
    threads: int
    restart: bool
    observer: Observer


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a method will take."""

    sentence: str
    room: Mapping[Path, int]  #: output -> bytes of what lies beside it for the time of the run


def check_engine(method: PlannedMethod | None, device: str | None, *, stream: bool) -> None:
    """Check that a method has what it needs, beside a model.

    Raises:
        UsageError: An option does not go with another one, torch or transformers are missing, or the device is.
    """
    if method is None:
        if device is not None:
            raise UsageError("--device is where a method computes; give one with --method, or leave --device out.")
        return
    if stream:
        raise UsageError(f"--method {method.name} reads the weights several times; leave --stream out.")
    from quantize_cli.calibrate.extra import check_extra

    check_extra()
    from quantize_cli.calibrate.settings import settings_of

    settings_of(device, None)


def feeds_back(method: PlannedMethod | None) -> bool:
    """Tell whether kernels of our own choose levels."""
    return method is not None and METHODS[method.name].feeds_back


def rivals_of(
    checkpoint: Checkpoint, plans: Sequence[Plan], pre_tokenizer: str | None, options: PlanOptions
) -> list[Plan | None]:
    """Return for each plan that of a format whose file has the same bytes; only --like names one.

    Raises:
        QuantizeError: See `make_plans`.
    """
    budget = options.budget
    if options.method is None or budget is None or not isinstance(budget.amount, Like):
        return [None] * len(plans)
    return [*make_plans(checkpoint, [budget.amount.mix], pre_tokenizer, replace(options, budget=None))]


def foretold(step: Step, checkpoint: Checkpoint) -> Foretold:
    """Find out what the method will take.

    Raises:
        QuantizeError: The engine cannot run the model, or the calibration does not fit it.
    """
    from quantize_cli.calibrate.estimate import Cost
    from quantize_cli.calibrate.foretelling import foretell
    from quantize_cli.calibrate.work import work_left

    calibration = _calibration(step)
    for plan in step.plans:
        check_statistics(calibration, {tensor.name: (tensor.rows, tensor.columns) for tensor in plan.tensors})
    costs = foretell(checkpoint, step.plans, METHODS[_method(step).name], calibration, step.device, step.threads)
    total = Cost(
        sum(cost.seconds for cost in costs),
        max(cost.memory_bytes for cost in costs),
        sum(cost.disk_bytes for cost in costs),
    )
    room: Counter[Path] = Counter()
    for plan, output, cost in zip(step.plans, step.outputs, costs, strict=True):
        path = Path(tempfile.gettempdir()) / plan.model if output is None else real(output)
        room[path] += max(0, cost.disk_bytes - work_left(path))
    return Foretold(f"Rounding for {calibration.tokens.size:,} tokens takes about {total}.", room)


@contextmanager
def kept(step: Step, checkpoint: Checkpoint) -> Iterator[list[Kept]]:
    """Choose the blocks of each plan, one plan after the other; they are there as long as the `with` block lasts.

    Hidden folders beside the outputs keep what is done, if the run is stopped before the end of the block.

    Raises:
        QuantizeError: See `quantize_cli.calibrate.method.choose`.
    """
    if step.options.method is None:
        yield [Kept(plan) for plan in step.plans]
        return
    with made(step.folder), ExitStack() as stack:
        yield [stack.enter_context(_chosen(step, number, checkpoint)) for number in range(len(step.plans))]


def identity_of_kept(files: Sequence[Kept]) -> Mapping[str, str]:
    """Return what must not change until a run goes on to write what a method has chosen, by its name in sentences."""
    if all(held.outcome is None for held in files):
        return {}
    chosen = [(held.plan.digest, held.outcome and held.blocks and held.outcome.chosen) for held in files]
    return {"what the method chose": ascii(chosen)}


@contextmanager
def _chosen(step: Step, number: int, checkpoint: Checkpoint) -> Iterator[Kept]:
    """Choose the blocks of one plan, and find out which file is the best."""
    from quantize_cli.calibrate.method import Request
    from quantize_cli.calibrate.work import Work

    plan, rival, output = step.plans[number], step.rivals[number], step.outputs[number]
    request = Request(
        method=METHODS[_method(step).name],
        checkpoint=checkpoint,
        plan=plan,
        rival=rival,
        calibration=_calibration(step),
        importance=step.options.importance,
        device=step.device,
    )
    with ExitStack() as stack:
        if output is None:
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quantize-"))) / plan.model
        with Work(real(output), _key(request, _method(step))) as work:
            try:
                yield _best(request, *_done(request, work, step), step.observer)
            except GateError:  # the same call would fail again
                work.remove()
                raise
            except BaseException as error:
                _tell_what_stays(work, step, number, error)
                raise


def _done(request: Request, work: Work, step: Step) -> tuple[Chosen, Outcome]:
    """Choose blocks, or take those that an earlier run has chosen."""
    from quantize_cli.calibrate.method import choose
    from quantize_cli.methods.chosen import Chosen
    from quantize_cli.methods.outcome_file import read_outcome, write_outcome

    if step.restart:
        _clear(work)
    if work.has("inputs"):
        step.observer.noted(f"Going on with {work.folder}, where an earlier run was stopped.")
    path = work.folder / _OUTCOME
    outcome = read_outcome(path)
    if outcome is not None:
        return Chosen.of_folder(work.folder), outcome
    chosen, outcome = choose(request, work, step.threads, step.observer)
    chosen.keep(work.folder)
    write_outcome(outcome, path)
    return chosen, outcome


def _clear(work: Work) -> None:
    """Remove what an earlier run has left, but not what tells whose it is."""
    for path in work.folder.iterdir():
        if path.name != _TOLD:
            path.unlink()


def _key(request: Request, method: PlannedMethod) -> Mapping[str, object]:
    """Return what decides the blocks."""
    from quantize_cli.calibrate.method import ENGINE
    from quantize_cli.calibrate.settings import settings_of

    checkpoint, rival = request.checkpoint, request.rival
    return {
        "plan": request.plan.digest,
        "rival": None if rival is None else rival.digest,
        "method": method.name,
        "calibration": method.calibration_sha256,
        "commit": checkpoint.commit,
        "stamps": sorted((name, *stamp) for name, stamp in checkpoint.stamps.items()),
        "device": settings_of(request.device, None).device.type,
        "engine": ENGINE,
    }


def _best(request: Request, chosen: Chosen, outcome: Outcome, observer: Observer) -> Kept:
    """Return the file whose predictions are the nearest to the original's."""
    reference, *rivals = outcome.others
    plan = request.rival if request.rival is not None and outcome.best in rivals else request.plan
    told = with_outcome(
        plan,
        {
            METHOD: outcome.rounded_by,
            INSTEAD_OF: REFERENCE if outcome.better else outcome.method,
            TENSORS: tuple(outcome.better and chosen.changes(tensor) for tensor in plan.tensors),
            **_figures(KLD, outcome.best),
            **_figures(REFERENCE_KLD, reference),
            **{key: value for rival in rivals for key, value in _figures(RIVAL_KLD, rival).items()},
        },
    )
    if outcome.better:
        return Kept(told, chosen, outcome)
    sentence = (
        f"{outcome.method} is not better here: its KLD is {outcome.ours.divergence.mean_kld:.4g} nats a token on "
        f"{outcome.text}, and that of {outcome.best.title} is {outcome.best.divergence.mean_kld:.4g}; so the file "
        "holds the latter."
    )
    observer.warned(sentence)
    return Kept(replace(told, warnings=(*told.warnings, sentence)), None, outcome)


def _figures(key: str, measured: Measured) -> dict[str, float]:
    return {key: measured.divergence.mean_kld, error_of(key): measured.divergence.mean_kld_error}


def _tell_what_stays(work: Work, step: Step, number: int, error: BaseException) -> None:
    """Tell of the folder that a later run goes on from, or remove it if nothing is done yet."""
    if not work.has("inputs"):
        work.remove()
    elif step.outputs[number] is not None:
        sentence = (
            f"What is done of the rounding is kept in {work.folder}: run the same again to go on, add --restart to "
            "start anew, or delete that folder."
        )
        error.add_note(sentence)
        step.observer.noted(sentence)


def _method(step: Step) -> PlannedMethod:
    assert step.options.method is not None
    return step.options.method


def _calibration(step: Step) -> Calibration:
    assert step.options.calibration is not None, "a method needs one"
    return step.options.calibration
