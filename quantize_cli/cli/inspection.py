"""What is known of a model, for people and as JSON, on standard output."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from quantize_cli.cli import console, table
from quantize_cli.errors import printable
from quantize_cli.report.figures import NONE, fixed, size

if TYPE_CHECKING:
    from quantize_cli.inspection.model import Hyperparameters, Inspection, Parameters, Quantization, TokenizerFacts
    from quantize_cli.planning.format_sizes import FormatSize

#: Width of the column of names.
_NAMES = 14

#: `TokenizerFacts.recognised_by` -> the end of a sentence about the pre-tokenizer.
_RECOGNISED = {
    "hash": "recognised by its hash",
    "hash without added tokens": "recognised by its hash without added tokens",
    "structure": "recognised by the structure of tokenizer.json",
    "user": "which you named",
    "file": "named by the GGUF file",
}
#: A name of `FormatSize.needs` -> the option.
_NEEDS = {"imatrix": "--imatrix", "allow_requantize": "--allow-requantize"}


def show(found: Inspection, *, as_json: bool) -> None:
    """Print what is known of a model."""
    if as_json:
        console.put(json.dumps(found.to_dict(), indent=2))
    else:
        console.put("\n".join(_lines(found)))


def _lines(found: Inspection) -> Iterator[str]:
    width = shutil.get_terminal_size().columns
    yield printable(found.model)
    for name, text in _rows(found):
        yield from textwrap.wrap(
            printable(text), width, initial_indent=name.ljust(_NAMES), subsequent_indent=" " * _NAMES
        )
    if found.formats:
        yield ""
        rows = [(held.format.lower(), *_sizes(held), _remark(held)) for held in found.formats]
        yield from table.lines(("format", "bytes", "size", "bits", ""), rows, right=frozenset({1, 2, 3}))
    for note in found.notes:
        yield ""
        yield from textwrap.wrap(printable(f"note: {note}"), width)


def _rows(found: Inspection) -> Iterator[tuple[str, str]]:
    """Yield name and text of each line, most asked for first; what is not known is left out."""
    source, sizes = found.source, found.hyperparameters
    commit = f", commit {source.commit[:12]}" if source.commit else ""
    missing = f", {size(source.missing_bytes)} to download" if source.missing_bytes else ""
    yield "source", f"{source.location}{commit}, {_count(source.files, 'file')}{missing}"
    yield "architecture", _architecture(found)
    yield "parameters", _parameters(found.parameters)
    if sizes.layers is not None:
        mtp = f", and {_count(sizes.mtp_layers, 'layer')} for further tokens (MTP)" if sizes.mtp_layers else ""
        yield "layers", f"{sizes.layers}{mtp}"
    if sizes.embedding_length is not None:
        feed = "" if sizes.feed_forward_length is None else f", feed-forward {_value(sizes.feed_forward_length)}"
        yield "width", f"{_value(sizes.embedding_length)}{feed}"
    if sizes.heads is not None:
        fewer = "" if sizes.kv_heads is None else f", {_value(sizes.kv_heads)} for keys and values"
        yield "heads", f"{_value(sizes.heads)}{fewer}"
    if sizes.experts:
        yield "experts", _experts(sizes)
    if sizes.context_length is not None:
        yield "context", f"{_value(sizes.context_length)} tokens"
    if sizes.vocabulary is not None:
        yield "vocabulary", f"{sizes.vocabulary:,} tokens"
    if found.tokenizer is not None:
        yield "tokenizer", _tokenizer(found.tokenizer)
    yield (
        "weights",
        "; ".join(
            f"{held.dtype}: {_count(held.tensors, 'tensor')}, {held.elements:,} values, {size(held.bytes)}"
            for held in found.dtypes
        ),
    )
    yield "quantization", "none stated" if found.quantization is None else _quantization(found.quantization)


def _architecture(found: Inspection) -> str:
    if found.architecture is None:
        return "unknown" if found.class_name is None else f"{found.class_name}, which is not supported"
    return found.architecture if found.class_name is None else f"{found.architecture} ({found.class_name})"


def _parameters(counted: Parameters | None) -> str:
    if counted is None:
        return "not known, because weights are packed"
    active = "" if counted.active in (None, counted.total) else f", {counted.active:,} active for each token"
    mtp = f", {counted.mtp:,} for further tokens (MTP)" if counted.mtp else ""
    return f"{counted.total:,}{active}{mtp}"


def _experts(sizes: Hyperparameters) -> str:
    used = "" if sizes.experts_used is None else f", {_value(sizes.experts_used)} used for each token"
    shared = "" if not sizes.experts_shared else f", and {_value(sizes.experts_shared)} shared"
    return f"{_value(sizes.experts)}{used}{shared}"


def _tokenizer(held: TokenizerFacts) -> str:
    if held.recognised_by is None or held.pre_tokenizer is None:
        return f"{held.kind} ({held.model})"
    return f"{held.kind} ({held.model}), pre-tokenizer {held.pre_tokenizer}, {_RECOGNISED[held.recognised_by]}"


def _quantization(held: Quantization) -> str:
    stated = [held.method or "", *(f"{name} {_setting(value)}" for name, value in held.settings.items())]
    config = [f"{', '.join(filter(None, stated))} (config.json)"] if any(stated) else []
    types = [f"{held.format or 'blocks'} ({', '.join(held.types)})"] if held.types else []
    return "; ".join([*types, *config])


def _setting(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sizes(held: FormatSize) -> tuple[str, str, str]:
    if held.file_bytes is None:
        return NONE, NONE, NONE
    return f"{held.file_bytes:,}", size(held.file_bytes), fixed(held.bits_per_weight, 2)


def _remark(held: FormatSize) -> str:
    fallen = _count(held.fallbacks, "fallback") if held.fallbacks else ""
    needs = f"needs {' and '.join(_NEEDS[option] for option in held.needs)}" if held.needs else ""
    return printable(held.refusal or "; ".join(filter(None, (needs, fallen))))


def _value(value: int | tuple[int, ...] | None) -> str:
    """Format a size; one that differs between layers has a range."""
    if isinstance(value, tuple):
        return f"{min(value):,} to {max(value):,}, by layer"
    return NONE if value is None else f"{value:,}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
