"""From a checkpoint to a preview of its run; no weight is read or downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantize_cli.architectures.describe import describe
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.fields import Field
from quantize_cli.inspection.model import Source
from quantize_cli.methods.needs import ENGINE_BYTES, needs_of_method
from quantize_cli.methods.table import METHODS
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.format_sizes import FormatSize, format_sizes
from quantize_cli.planning.memory import memory_to_run
from quantize_cli.planning.model import Plan
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.planner import check_description, make_plans
from quantize_cli.planning.provenance import usual_options
from quantize_cli.previews.model import Choice, Needs, Preview
from quantize_cli.run.bounds import available_threads
from quantize_cli.run.memory import memory_of_run


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a preview is made for."""

    threads: int | None = None  #: of the run; None is one for each processor
    context: int | None = None  #: tokens to run the file with; None is the usual number
    limit: int | None = None  #: bytes of memory to run it in


def preview_of_plans(
    checkpoint: Checkpoint,
    mixes: Sequence[Mix],
    pre_tokenizer: str | None,
    options: PlanOptions,
    circumstances: Circumstances,
) -> Preview:
    """Plan the formats, and estimate what their run takes.

    Raises:
        CheckpointError, UnsupportedError, UsageError: Those that end the run; see `make_plans`.
    """
    plans = make_plans(checkpoint, mixes, pre_tokenizer, options)
    choices = [_choice(_size_of(plan), plan.files[0].metadata, circumstances) for plan in plans]
    threads = circumstances.threads or available_threads()
    memory, disk = _of_run(plans, threads, options)
    download = sum(checkpoint.missing.values())
    return Preview(
        model=plans[0].model,
        architecture=plans[0].architecture,
        source=_source(checkpoint),
        choices=tuple(choices),
        plans=tuple(plans),
        needs=Needs(
            threads=threads,
            memory_bytes=memory,
            download_bytes=download,
            disk_bytes=download + disk,
        ),
        limit=circumstances.limit,
    )


def preview_of_formats(checkpoint: Checkpoint, pre_tokenizer: str | None, circumstances: Circumstances) -> Preview:
    """Find out the size of one file without options in every format.

    Raises:
        CheckpointError, UnsupportedError, UsageError: The model does not convert to any format.
    """
    description = describe(checkpoint, pre_tokenizer)
    check_description(description)
    sizes = format_sizes(description, checkpoint, FORMATS.values(), usual_options(pre_tokenizer))
    choices = [_choice(size, description.metadata, circumstances) for size in _largest_first(sizes)]
    return Preview(
        model=checkpoint.name,
        architecture=str(next(held.value for held in description.metadata if held.key == "general.architecture")),
        source=_source(checkpoint),
        choices=tuple(choices),
        limit=circumstances.limit,
    )


def check_circumstances(circumstances: Circumstances) -> None:
    """Check the numbers of a caller.

    Raises:
        UsageError: One is not positive.
    """
    for name, number in (("threads", circumstances.threads), ("context", circumstances.context)):
        if number is not None and number < 1:
            raise UsageError(f"--{name} takes a number of at least 1, not {number}.")


def _of_run(plans: Sequence[Plan], threads: int, options: PlanOptions) -> tuple[int, int]:
    """Return the bytes of memory and of disk space that a run takes, with those of its method."""
    memory, disk = memory_of_run(plans, threads, options.importance), sum(plan.file_bytes for plan in plans)
    if options.method is None or options.calibration is None:
        return memory, disk
    method = METHODS[options.method.name]
    rounding = [needs_of_method(plan, method, options.calibration, threads) for plan in plans]
    return (
        max(ENGINE_BYTES + memory, *(needs.memory_bytes for needs in rounding)),
        disk + sum(needs.disk_bytes for needs in rounding),
    )


def _largest_first(sizes: Iterable[FormatSize]) -> list[FormatSize]:
    return sorted(sizes, key=lambda held: -(held.file_bytes or 0))


def _size_of(plan: Plan) -> FormatSize:
    return FormatSize(
        format=plan.format,
        file_bytes=plan.file_bytes,
        bits_per_weight=8 * sum(tensor.nbytes for tensor in plan.tensors) / max(plan.weights, 1),
        fallbacks=sum(tensor.instead_of is not None for tensor in plan.tensors),
    )


def _choice(size: FormatSize, metadata: Sequence[Field], circumstances: Circumstances) -> Choice:
    if size.file_bytes is None:
        return Choice(size, None)
    memory = memory_to_run(metadata, size.file_bytes, circumstances.context)
    if memory is None or circumstances.limit is None:
        return Choice(size, memory)
    return Choice(size, memory, memory.total <= circumstances.limit)


def _source(checkpoint: Checkpoint) -> Source:
    return Source(
        location=checkpoint.location,
        repository=checkpoint.repository,
        commit=checkpoint.commit,
        files=len({info.file for info in checkpoint.infos.values()}),
        missing_bytes=sum(checkpoint.missing.values()),
    )
