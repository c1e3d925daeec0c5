"""Reports of models that do not exist, as large as wanted; the figures are plausible, and always the same."""

from __future__ import annotations

import dataclasses
import math
import random

from quantize_cli.measure.errors import TensorError, WeightedError
from quantize_cli.report.model import (
    SCHEMA_VERSION,
    FileReport,
    Report,
    SourceReport,
    TensorReport,
    Totals,
    TypeReport,
)

#: Kind -> its shape in a model of 4,096 columns.
KINDS = {
    "attn_k": (1024, 4096),
    "attn_norm": (4096,),
    "attn_output": (4096, 4096),
    "attn_q": (4096, 4096),
    "attn_v": (1024, 4096),
    "ffn_down": (4096, 14336),
    "ffn_gate": (14336, 4096),
    "ffn_norm": (4096,),
    "ffn_up": (14336, 4096),
}
#: Type -> its bits per weight, and a usual relative RMSE.
TYPES = {
    "F32": (32.0, 0.0),
    "Q8_0": (8.5, 0.0055),
    "Q6_K": (6.5625, 0.018),
    "Q5_K": (5.5, 0.035),
    "Q4_K": (4.5, 0.071),
    "Q3_K": (3.4375, 0.15),
    "Q2_K": (2.625, 0.31),
    "IQ2_XXS": (2.0625, 0.42),
}
#: Format -> the types of most tensors, and of those that matter more.
FORMATS = {
    "Q8_0": ("Q8_0", "Q8_0"),
    "Q6_K": ("Q6_K", "Q6_K"),
    "Q5_K_M": ("Q5_K", "Q6_K"),
    "Q4_K_M": ("Q4_K", "Q6_K"),
    "Q3_K_M": ("Q3_K", "Q5_K"),
    "Q2_K": ("Q2_K", "Q3_K"),
    "IQ2_XXS": ("IQ2_XXS", "Q2_K"),
}

#: Text that tries to become markup.
HOSTILE = "<script>alert(1)</script>\x1b[31m&'\"\u2028"


def error(relative: float) -> TensorError:
    if relative == 0:
        return TensorError(0.0, 0.0, None, 0.0, 1.0)
    return TensorError(relative / 50, relative, -20 * math.log10(relative), relative / 9, 1 - relative**2 / 2)


def tensor(name: str, shape: tuple[int, ...], type_: str, reason: str, relative: float, weighted: bool) -> TensorReport:
    weights, bits = math.prod(shape), TYPES[type_][0]
    return TensorReport(
        name=name,
        sources=(f"model.{name.replace('blk', 'layers')}",),
        shape=shape,
        source_dtype="BF16",
        type=type_,
        reason=reason,
        source_bytes=2 * weights,
        bytes=int(weights * bits / 8),
        bits_per_weight=bits,
        error=error(relative),
        weighted_error=WeightedError(relative * 0.7, -20 * math.log10(relative * 0.7))
        if weighted and relative
        else None,
    )


def made_up(format_name: str, layers: int = 32, *, weighted: bool = False) -> Report:
    """A report of a model with 9 tensors a layer."""
    chance = random.Random(format_name)
    most, better = FORMATS[format_name]

    def one(name: str, kind: str, shape: tuple[int, ...], depth: float) -> TensorReport:
        if len(shape) == 1:
            return tensor(name, shape, "F32", "one dimension", 0.0, weighted)
        matters = kind in ("attn_v", "output") or (kind == "ffn_down" and (depth < 0.125 or depth > 0.875))
        type_, reason = (better, "more bits for tensors that matter more") if matters else (most, "base")
        relative = TYPES[type_][1] * chance.uniform(0.9, 1.1) * (1.2 - 0.3 * depth)
        return tensor(name, shape, type_, reason, relative, weighted)

    tensors = [one("token_embd.weight", "token_embd", (128256, 4096), 0.5)]
    for layer in range(layers):
        tensors += [
            one(f"blk.{layer}.{kind}.weight", kind, shape, layer / max(layers - 1, 1)) for kind, shape in KINDS.items()
        ]
    tensors += [one("output_norm.weight", "output_norm", (4096,), 1), one("output.weight", "output", (128256, 4096), 1)]
    return report_of(format_name, tuple(tensors), weighted)


def report_of(format_name: str, tensors: tuple[TensorReport, ...], weighted: bool) -> Report:
    weights, nbytes = sum(math.prod(one.shape) for one in tensors), sum(one.bytes for one in tensors)
    usual = TYPES[FORMATS[format_name][0]][1]
    by_type = {
        type_: [one for one in tensors if one.type == type_] for type_ in dict.fromkeys(one.type for one in tensors)
    }
    types = [
        TypeReport(
            type=type_,
            tensors=len(those),
            weights=sum(math.prod(one.shape) for one in those),
            bytes=sum(one.bytes for one in those),
            bits_per_weight=TYPES[type_][0],
            error=error(TYPES[type_][1]),
            weighted_error=None,
        )
        for type_, those in by_type.items()
    ]
    path = f"Meta-Llama-3.1-8B-Instruct-{format_name}.gguf"
    return Report(
        schema_version=SCHEMA_VERSION,
        generator="quantize-cli 0.1.0",
        model="Meta-Llama-3.1-8B-Instruct",
        architecture="llama",
        source=SourceReport(
            "meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct", "0e" * 20
        ),
        imatrix=None,
        options={},
        format=format_name,
        output=path,
        files=(FileReport(path, nbytes + 7_000_000, "5a" * 32),),
        totals=Totals(
            tensors=len(tensors),
            weights=weights,
            source_bytes=2 * weights,
            bytes=nbytes,
            file_bytes=nbytes + 7_000_000,
            bits_per_weight=8 * nbytes / weights,
            compile_seconds=0.0,
            seconds=91.4,
            weights_per_second=weights / 91.4,
            peak_memory_bytes=912_000_000,
            threads=2,
            error=error(usual),
            weighted_error=WeightedError(usual * 0.7, -20 * math.log10(usual * 0.7)) if weighted else None,
        ),
        types=tuple(sorted(types, key=lambda row: -row.bytes)),
        tensors=tensors,
        warnings=(),
    )


def hostile(report: Report) -> Report:
    """The same report, with text from files that tries to become markup wherever there is some."""
    tensors = tuple(dataclasses.replace(tensor, name=HOSTILE, reason=HOSTILE) for tensor in report.tensors)
    return dataclasses.replace(
        report,
        model=HOSTILE,
        architecture=HOSTILE,
        warnings=(HOSTILE,),
        tensors=tensors,
        options={"pure": HOSTILE},
        source=SourceReport(HOSTILE, HOSTILE, HOSTILE),
        files=(FileReport(HOSTILE, 1, HOSTILE),),
    )


def unlike_any_other(report: Report) -> Report:
    """The same report, each tensor of which is of its own kind and has its own reason."""
    tensors = tuple(
        dataclasses.replace(one, name=f"tensor_{number}.of.a.model", reason=f"reason {number}")
        for number, one in enumerate(report.tensors)
    )
    return dataclasses.replace(report, tensors=tensors)
