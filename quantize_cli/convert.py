"""The whole job in one call: a model in, a GGUF file and a report out."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from quantize_cli.checkpoints import Checkpoint, open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.events import Observer
from quantize_cli.mixes import find_mix
from quantize_cli.pipeline import available_threads, run
from quantize_cli.plan import make_plan
from quantize_cli.report.build import RunFacts, build_report
from quantize_cli.report.model import Report
from quantize_cli.sinks import Sink, check_output, replacing, writing


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen beside model, format and output."""

    revision: str | None = None  #: branch, tag or commit on the Hub
    pre_tokenizer: str | None = None  #: where it cannot be recognised
    threads: int | None = None  #: default: every processor that the process may use
    force: bool = False  #: overwrite an existing output
    progress: bool = False  #: show a download's progress on standard error


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
        model: a folder, a `.safetensors` file, or a Hub id.
        format: a llama.cpp name, in any case: "q4_k_m".
        output: the file to write, or a binary stream; default: `<model's name>-<FORMAT>.gguf` in the current folder.
        settings: what else may be chosen.
        observer: is told how the run goes.

    Raises:
        QuantizeError: see `quantize_cli.errors`; no file is left behind.
    """
    settings = settings or Settings()
    mix = find_mix(format)
    output = Path(output) if isinstance(output, str) else output
    if isinstance(output, Path):
        check_output(output, 0, force=settings.force)  # what a download cannot change is better known before it
    with closing(open_checkpoint(model, settings.revision, progress=settings.progress)) as checkpoint:
        started = time.perf_counter()
        threads = settings.threads or available_threads()
        plan = make_plan(checkpoint, mix, settings.pre_tokenizer)
        _return_free_memory()
        target = Path(f"{plan.model}-{plan.format}.gguf") if output is None else output
        _check_not_source(target, checkpoint)
        with _opened(target, plan.file_bytes, force=settings.force) as sink:
            result = run(plan, checkpoint, sink, threads=threads, observer=observer)
        facts = RunFacts(
            output=str(target) if isinstance(target, Path) else "-",
            file_bytes=plan.file_bytes,
            seconds=time.perf_counter() - started,
            threads=threads,
        )
        return build_report(plan, result, facts)


def _return_free_memory() -> None:
    """Give back what planning has freed: a tokenizer of 150,000 tokens leaves 140 MiB of free heap with glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _check_not_source(target: Path | BinaryIO, checkpoint: Checkpoint) -> None:
    files = {(checkpoint.folder / info.file).resolve() for info in checkpoint.infos.values()}
    if isinstance(target, Path) and target.resolve() in files:
        raise UsageError(f"{target} is one of the files to be read; choose another output with -o.")


@contextmanager
def _opened(target: Path | BinaryIO, size: int, *, force: bool) -> Iterator[Sink]:
    if isinstance(target, Path):
        check_output(target, size, force=force)
        with replacing(target, force=force) as sink:
            yield sink
    else:
        with writing("The output stream"):
            yield target
            target.flush()
