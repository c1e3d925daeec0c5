"""The whole job in one call: a model in, GGUF files and a report for each format out."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.mixes.find import find_format
from quantize_cli.observer import Observer
from quantize_cli.plan.model import Plan
from quantize_cli.plan.options import PlanOptions
from quantize_cli.plan.planner import make_plans
from quantize_cli.report.build import RunFacts, build_report
from quantize_cli.report.model import Report
from quantize_cli.run.executor import available_threads, run
from quantize_cli.run.sinks import Sink, check_output, replacing, writing


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen beside model, format and output."""

    revision: str | None = None  #: branch, tag or commit on the Hub
    pre_tokenizer: str | None = None  #: where it cannot be recognised
    threads: int | None = None  #: default: every processor that the process may use
    force: bool = False  #: overwrite an existing output
    progress: bool = False  #: show a download's progress on standard error
    options: PlanOptions = field(default_factory=PlanOptions)  #: what becomes of the tensors


def quantize_model(
    model: str | Path,
    format: str,
    output: str | Path | BinaryIO | None = None,
    *,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> Report:
    """Quantize `model` into a GGUF file.

    Args:
        model: a folder, a `.safetensors` or `.gguf` file, or a Hub id.
        format: a llama.cpp name, in any case: "q4_k_m".
        output: the file to write, a folder for it, or a binary stream; default: the current folder. In a folder it is
            called `<model's name>-<FORMAT>.gguf`.
        settings: what else may be chosen.
        observer: is told how the run goes.

    Raises:
        QuantizeError: see `quantize_cli.errors`; no file is left behind.
    """
    return quantize_ladder(model, [format], output, settings=settings, observer=observer)[0]


def quantize_ladder(
    model: str | Path,
    formats: Sequence[str],
    output: str | Path | BinaryIO | None = None,
    *,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> list[Report]:
    """Quantize `model` into a GGUF file for each of `formats`, reading it once; the reports are in their order.

    As `quantize_model`, but several formats need a folder as `output`.
    """
    settings = _without_empty_importance(settings or Settings())
    mixes = [find_format(name) for name in formats]
    if repeated := next((mix.name for mix in mixes if mixes.count(mix) > 1), None):
        raise UsageError(f"{repeated} is asked for twice; name each format once.")
    output = Path(output) if isinstance(output, str) else output
    _check_request(output, len(mixes), settings)
    with closing(open_checkpoint(model, settings.revision, progress=settings.progress)) as checkpoint:
        started = time.perf_counter()
        threads = settings.threads or available_threads()
        plans = make_plans(checkpoint, mixes, settings.pre_tokenizer, settings.options)
        _return_free_memory()
        targets = [_targets(plan, output) for plan in plans]
        with _opened(targets, plans, checkpoint, force=settings.force) as sinks:
            results = run(
                plans, checkpoint, sinks, importance=settings.options.importance, threads=threads, observer=observer
            )
        seconds = time.perf_counter() - started
        return [
            build_report(plan, result, RunFacts(_shown(target), plan.file_bytes, seconds, threads))
            for plan, result, target in zip(plans, results, targets, strict=True)
        ]


def _without_empty_importance(settings: Settings) -> Settings:
    """A matrix of which no entry is left is none, as for llama-quantize."""
    importance = settings.options.importance
    if importance is None or importance.entries:
        return settings
    return replace(settings, options=replace(settings.options, importance=None))


def _check_request(output: Path | BinaryIO | None, formats: int, settings: Settings) -> None:
    """What a download cannot change is better known before it."""
    options = settings.options
    if options.keep_split and options.split_max_size is not None:
        raise UsageError("--keep-split and --split-max-size cannot be combined; leave one of them out.")
    splits = options.keep_split or options.split_max_size is not None
    if _is_stream(output) and (formats > 1 or splits):
        raise UsageError("One stream cannot hold several files: name a folder with -o.")
    if isinstance(output, Path) and not _is_folder(output):
        if formats > 1:
            raise UsageError(f"{output} is no folder, and {formats} files are to be written: name a folder with -o.")
        if not splits:
            check_output(output, 0, force=settings.force)


def _is_stream(output: Path | BinaryIO | None) -> bool:
    return not (output is None or isinstance(output, Path))


def _is_folder(path: Path) -> bool:
    with writing(path):
        return path.is_dir()


def _targets(plan: Plan, output: Path | BinaryIO | None) -> list[Path] | BinaryIO:
    """The files of one plan, or the stream."""
    if not (output is None or isinstance(output, Path)):
        return output
    default = f"{plan.model}-{plan.format}.gguf"
    whole = Path(default) if output is None else output / default if _is_folder(output) else output
    return [
        whole.with_name(f"{whole.name.removesuffix('.gguf')}{file.suffix}.gguf") if file.suffix else whole
        for file in plan.files
    ]


def _shown(target: list[Path] | BinaryIO) -> str:
    """The first file stands for all of its model, as it does when the model is loaded."""
    return str(target[0]) if isinstance(target, list) else "-"


def _return_free_memory() -> None:
    """Give back what planning has freed: a tokenizer of 150,000 tokens leaves 140 MiB of free heap with glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _check_not_source(targets: Iterable[Path], checkpoint: Checkpoint) -> None:
    files = {(checkpoint.folder / info.file).resolve() for info in checkpoint.infos.values()}
    if source := next((target for target in targets if target.resolve() in files), None):
        raise UsageError(f"{source} is one of the files to be read; choose another output with -o.")


@contextmanager
def _opened(
    targets: Sequence[list[Path] | BinaryIO], plans: Sequence[Plan], checkpoint: Checkpoint, *, force: bool
) -> Iterator[list[list[Sink]]]:
    """Sinks for each file of each plan."""
    if not isinstance(targets[0], list):
        with writing("The output stream"):
            yield [[targets[0]]]
            targets[0].flush()
        return
    paths = [path for target in targets if isinstance(target, list) for path in target]
    _check_not_source(paths, checkpoint)
    size = sum(plan.file_bytes for plan in plans)
    for path in paths:
        check_output(path, size, force=force)
    with replacing(paths, force=force) as sinks:
        each = iter(sinks)
        yield [[next(each) for _ in plan.files] for plan in plans]
