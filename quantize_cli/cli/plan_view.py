"""A preview of a run, for people and as JSON, on standard output."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantize_cli.cli import console, table
from quantize_cli.cli.options import OF_A_RUN
from quantize_cli.errors import UsageError, printable
from quantize_cli.report.figures import NONE, bits_per_weight, fixed, shape, size

if TYPE_CHECKING:
    from quantize_cli.cli.words import Job
    from quantize_cli.planning.memory import RunMemory
    from quantize_cli.planning.model import Budgeted, Plan, PlannedTensor
    from quantize_cli.previews.model import Choice, Needs, Preview

#: Width of the column of names.
_NAMES = 12
#: A narrower terminal does not get the column of exact bytes.
_WIDE = 80

_LAYER = re.compile(r"^blk\.\d+\.")

#: A name of `FormatSize.needs` -> the option.
_OPTIONS = {"imatrix": "--imatrix", "allow_requantize": "--allow-requantize"}

HOW_TO_CHOOSE = (
    "Choose the largest that fits your memory, with room for a longer context: q8_0 is close to the original, q4_k_m "
    "the usual choice, and below 3 bits the loss is large even with --imatrix."
)


def show(preview: Preview, *, as_json: bool = False, each_tensor: bool = False) -> None:
    """Print a preview: of one format the types with their reasons, of several a table to choose from."""
    if as_json:
        console.put(json.dumps(preview.to_dict(), indent=2))
    else:
        console.put("\n".join(map(printable, lines(preview, each_tensor=each_tensor))))
    for warning in dict.fromkeys(warning for plan in preview.plans for warning in plan.warnings):
        click.echo(printable(f"warning: {warning}"), err=True)


def dry_run(model: str | Path, job: Job, passed_on: Mapping[str, Any]) -> None:
    """Print the preview of a run that is not made."""
    from quantize_cli.api import preview
    from quantize_cli.cli.words import with_near_names

    if passed_on["report"]:
        click.echo("warning: --report has no effect with --dry-run, which does not write any file.", err=True)
    keywords = {name: value for name, value in passed_on.items() if name not in OF_A_RUN}
    with console.progress() as observer, with_near_names(model):
        found = preview(model, list(job.formats), threads=job.threads, observer=observer, **keywords)
    show(found)


def check_types(file: str, formats: int) -> None:
    """Refuse a file for types, before anything is shown, that could not be written.

    Raises:
        UsageError: There are several formats.
        OutputError: The file exists, or cannot be written.
    """
    from quantize_cli.report.type_list import check_type_list

    check_type_list(Path(file), formats, force=False)


def write_types(preview: Preview, file: str) -> None:
    """Write the types of the only plan as a file of `--tensor-type-file`.

    Raises:
        UsageError: There is no plan, because neither a format nor a budget was given.
        OutputError: The file cannot be written.
    """
    from quantize_cli.report.type_list import write_type_list

    if not preview.plans:
        raise UsageError("--write-tensor-types takes the types of a format; name one, or give a budget.")
    write_type_list(preview.plans[0], Path(file))


def advice(preview: Preview, good_for: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for people who choose a format, with what each is good for."""
    yield f"{preview.model} ({preview.architecture})"
    yield ""
    yield from _choices(preview, good_for)
    yield ""
    yield from _facts(preview)
    yield ""
    yield from _wrapped(HOW_TO_CHOOSE)


def lines(preview: Preview, *, each_tensor: bool = False) -> Iterator[str]:
    """Yield the lines for people."""
    if not preview.plans:
        yield from advice(preview, {})
        return
    if len(preview.plans) > 1:
        yield f"{preview.model} ({preview.architecture})"
        yield ""
        yield from _choices(preview, {})
    for plan in preview.plans if each_tensor or len(preview.plans) == 1 else ():
        if len(preview.plans) > 1:
            yield ""
        yield from _types(plan, each_tensor=each_tensor)
    yield ""
    yield from _facts(preview)


def _choices(preview: Preview, good_for: Mapping[str, str]) -> Iterator[str]:
    """Yield a table of formats: sizes, bits, memory to run each, and what there is to know before it is chosen."""
    wide, limited = shutil.get_terminal_size().columns >= _WIDE, preview.limit is not None
    header = ("format", *(["bytes"] if wide else []), "size", "bits", "to run", *(["fits"] if limited else []), "")
    rows = [
        (
            choice.size.format.lower(),
            *([_count(choice.size.file_bytes)] if wide else []),
            _size(choice.size.file_bytes),
            fixed(choice.size.bits_per_weight, 2),
            NONE if choice.memory is None else _about(choice.memory.total),
            *([_FITS[choice.fits]] if limited else []),
            _remark(choice, good_for.get(choice.size.format)),
        )
        for choice in preview.choices
    ]
    return table.lines(header, rows, right=frozenset(range(1, len(header) - 1)))


_FITS = {True: "yes", False: "no", None: NONE}


def _types(plan: Plan, *, each_tensor: bool) -> Iterator[str]:
    bits = bits_per_weight(sum(tensor.nbytes for tensor in plan.tensors), plan.weights)
    files = "" if len(plan.files) == 1 else f" in {len(plan.files):,} files"
    yield f"{plan.model} as {plan.format} ({plan.architecture})"
    yield ""
    yield from _each(plan) if each_tensor else _kinds(plan)
    yield ""
    yield f"{plan.weights:,} weights in {len(plan.tensors):,} tensors, {bits} bits/weight"
    yield f"{plan.file_bytes:,} bytes ({size(plan.file_bytes)}){files} would be written"
    if plan.budget is not None:
        yield from _wrapped(_budget(plan.budget))


def _kinds(plan: Plan) -> Iterator[str]:
    """Yield a row for each kind of tensor: those of all layers that have the same type for the same reason."""
    kinds: dict[tuple[str, str, str], list[PlannedTensor]] = defaultdict(list)
    for tensor in plan.tensors:
        reason = tensor.reason if tensor.cost is None else ""  # a measured cost is each tensor's own
        kinds[_LAYER.sub("blk.*.", tensor.name), tensor.type, reason].append(tensor)
    groups = list(kinds.items())
    if plan.budget is not None:  # a kind has many types, which stand together, the largest first
        groups.sort(key=lambda group: (group[0][0], -group[1][0].nbytes / group[1][0].weights))
    rows = [
        (kind, type_, f"{len(tensors):,}", size(sum(tensor.nbytes for tensor in tensors)), reason or _costs(tensors))
        for (kind, type_, reason), tensors in groups
    ]
    return table.lines(("tensor", "type", "count", "size", "reason"), rows, right=frozenset({2, 3}))


def _costs(tensors: Sequence[PlannedTensor]) -> str:
    return f"{sum(tensor.cost or 0 for tensor in tensors):.2g} nats a token"


def _budget(budget: Budgeted) -> str:
    cost = "" if budget.cost is None else f"{budget.cost:.3g} nats a token are predicted; "
    return (
        f"types chosen for {budget.said}, at most {budget.limit_bytes:,} bytes; {cost}other tensors as in {budget.base}"
    )


def _each(plan: Plan) -> Iterator[str]:
    rows = [
        (tensor.name, shape(tensor.shape), tensor.type, size(tensor.nbytes), tensor.reason) for tensor in plan.tensors
    ]
    return table.lines(("tensor", "shape", "type", "size", "reason"), rows, right=frozenset({3}))


def _facts(preview: Preview) -> Iterator[str]:
    """Yield what there is to know beside the files."""
    for plan in preview.plans if len(preview.plans) == 1 else ():
        yield from _fact("fallbacks", _fallbacks(plan.tensors))
    if preview.source.missing_bytes:
        yield from _fact("download", f"{size(preview.source.missing_bytes)} of weights from the Hub")
    if preview.needs is not None:
        yield from _fact("the run", _needs(preview.needs))
    memory = next((choice.memory for choice in preview.choices if choice.memory is not None), None)
    one = preview.choices[0].memory if len(preview.choices) == 1 else None
    if memory is None:
        yield from _fact("to run it", f"not known for the architecture {preview.architecture}")
    else:
        yield from _fact("to run it", _memory(memory, one))
    if preview.limit is not None:
        yield from _fact("fits", _fitting(preview))


def _fallbacks(tensors: Sequence[PlannedTensor]) -> str:
    fallen = [tensor for tensor in tensors if tensor.instead_of is not None]
    if not fallen:
        return "none"
    extra = sum(tensor.extra_bytes for tensor in fallen)
    share = extra / (sum(tensor.nbytes for tensor in tensors) - extra)
    return f"{_of(len(fallen), 'tensor')}, {extra:,} bytes ({share:.1%}) more than their own types"


def _needs(needs: Needs) -> str:
    memory = f"about {_about(needs.memory_bytes)} of memory with {_of(needs.threads, 'thread')}"
    return f"{memory}, {size(needs.disk_bytes)} of disk{' with the download' if needs.download_bytes else ''}"


def _memory(memory: RunMemory, one: RunMemory | None) -> str:
    """Tell the parts of the memory to run a file; `one` is that of the only choice."""
    total = "" if one is None else f"about {_about(one.total)} = "
    weights = "the file" if one is None else f"{_about(one.weights)} of file"
    context = f"{_about(memory.kv_cache)} for a context of {memory.context:,} tokens (F16)"
    more = "more for further sequences, images and drivers"
    return f"{total}{weights} + {context} + {_about(memory.compute)} to compute; {more}"


def _fitting(preview: Preview) -> str:
    limit = size(preview.limit or 0)
    fitting = [choice for choice in preview.choices if choice.fits]
    if not fitting:
        known = any(choice.fits is not None for choice in preview.choices)
        return f"nothing fits into {limit}" if known else f"it is not known what fits into {limit}"
    largest = max(fitting, key=lambda choice: choice.size.file_bytes or 0)
    if len(preview.choices) == 1:
        return f"yes, into {limit}"
    return f"{largest.size.format.lower()} is the largest that fits into {limit}"


def _remark(choice: Choice, good_for: str | None) -> str:
    held = choice.size
    fallen = _of(held.fallbacks, "fallback") if held.fallbacks else ""
    needs = f"needs {' and '.join(_OPTIONS[option] for option in held.needs)}" if held.needs else ""
    return held.refusal or "; ".join(filter(None, (needs, fallen, good_for)))


def _fact(name: str, text: str) -> list[str]:
    width = shutil.get_terminal_size().columns
    return textwrap.wrap(text, width, initial_indent=name.ljust(_NAMES), subsequent_indent=" " * _NAMES)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, shutil.get_terminal_size().columns, break_on_hyphens=False)


def _about(nbytes: int) -> str:
    """Format an estimate with fewer digits than `size` has, because it is not exact."""
    if nbytes >= 1 << 30:
        return f"{nbytes / (1 << 30):.1f} GiB"
    mib = nbytes / (1 << 20)
    return f"{mib:.1f} MiB" if mib < 10 else f"{mib:.0f} MiB"


def _size(nbytes: int | None) -> str:
    return NONE if nbytes is None else size(nbytes)


def _count(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
