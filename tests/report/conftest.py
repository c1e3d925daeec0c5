from __future__ import annotations

import dataclasses
import math

import pytest

from quantize_cli.measure.errors import TensorError, WeightedError
from quantize_cli.report.model import (
    SCHEMA_VERSION,
    FileReport,
    ImatrixReport,
    Report,
    SourceReport,
    TensorReport,
    Totals,
    TypeReport,
)

EXACT = TensorError(0.0, 0.0, None, 0.0, 1.0)
ZERO = TensorError(0.0, None, None, 0.0, None)
OVERFLOW = TensorError(math.inf, math.inf, -math.inf, math.inf, None)


def error(relative: float) -> TensorError:
    return TensorError(relative / 50, relative, -20 * math.log10(relative), relative / 10, 1 - relative**2 / 2)


def tensor(name, type_, reason, bits, figures, shape=(1536, 576), dtype="BF16"):
    weights = math.prod(shape)
    return TensorReport(
        name=name,
        sources=(f"model.{name}",),
        shape=shape,
        source_dtype=dtype,
        type=type_,
        reason=reason,
        source_bytes=weights * 2,
        bytes=int(weights * bits / 8),
        bits_per_weight=bits,
        error=figures,
        weighted_error=None,
    )


@pytest.fixture
def report() -> Report:
    """A report with everything awkward in it: long names, markup, an overflow, an exact and an all-zero tensor."""
    tensors = (
        tensor("token_embd.weight", "Q8_0", "Q6_K needs rows of 256, this one has 576", 8.5, error(0.0051)),
        tensor("output_norm.weight", "F32", "one dimension", 32.0, EXACT, (576,)),
        tensor("blk.0.attn_q.bias", "F32", "one dimension", 32.0, ZERO, (576,)),
        tensor("blk.12.ffn_gate_up_shared_experts_per_layer_projection.weight", "Q4_K", "base", 4.5, error(0.0731)),
        tensor("blk.29.attn_output.weight", "Q5_0", "Q4_K needs rows of 256, this one has 576", 5.5, error(0.0382)),
        tensor("odd|name[bold]*x*\x1b[31m.weight", "F16", "asked for", 16.0, OVERFLOW),
        tensor("blk.3.ffn_down.weight", "Q6_K", "more bits for every third layer", 6.5625, error(0.0121)),
        tensor("blk.4.attn_k.weight", "BF16", "asked for", 16.0, error(1e-7)),
    )
    return Report(
        schema_version=SCHEMA_VERSION,
        generator="quantize-cli 0.1.0",
        model="SmolLM2-135M-Instruct",
        architecture="llama",
        source=SourceReport("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "12" * 20),
        imatrix=None,
        options={"pure": True, "tensor_types": [["attn_v", "q8_0"]]},
        format="Q4_K_M",
        output="/home/someone/models/SmolLM2-135M-Instruct-Q4_K_M.gguf",
        files=(FileReport("/home/someone/models/SmolLM2-135M-Instruct-Q4_K_M.gguf", 105_453_984, "ab" * 32),),
        totals=Totals(
            tensors=272,
            weights=134_515_008,
            source_bytes=269_030_016,
            bytes=103_668_480,
            file_bytes=105_453_984,
            bits_per_weight=6.1654,
            compile_seconds=0.0,
            seconds=1.2345,
            weights_per_second=108_963_149.5,
            peak_memory_bytes=421_642_240,
            threads=2,
            error=error(0.0413),
            weighted_error=None,
        ),
        types=(
            TypeReport("Q5_0", 150, 80_000_000, 55_000_000, 5.5, error(0.0382), None),
            TypeReport("Q4_K", 30, 1_235_814_400, 695_145_600, 4.5, error(0.0731), None),
            TypeReport("F16", 1, 884_736, 1_769_472, 16.0, OVERFLOW, None),
            TypeReport("F32", 61, 35_136, 140_544, 32.0, EXACT, None),
        ),
        tensors=tensors,
        warnings=(
            "180 of 272 tensors fell back to other types, because their rows are not whole blocks: "
            "this makes the file 23.4 MiB (31 %) larger.",
        ),
    )


@pytest.fixture
def weighted(report: Report) -> Report:
    """The same of a run with an importance matrix, which has an entry for all but the vectors."""

    def weigh(part):
        known = part.type not in ("F32", "F16")
        return dataclasses.replace(part, weighted_error=WeightedError(0.0123, 38.2) if known else None)

    return dataclasses.replace(
        report,
        imatrix=ImatrixReport("imatrix.gguf", 210, 128, ("wiki.train.raw",)),
        totals=dataclasses.replace(report.totals, weighted_error=WeightedError(0.0314, 30.06)),
        types=tuple(map(weigh, report.types)),
        tensors=tuple(map(weigh, report.tensors)),
    )


@pytest.fixture
def ladder(report: Report, weighted: Report) -> list[Report]:
    """The reports of a run with three formats."""
    others = [
        dataclasses.replace(weighted, format=name, output=f"models/SmolLM2-135M-Instruct-{name}.gguf", warnings=())
        for name in ("IQ3_XXS", "MXFP4_MOE")
    ]
    return [report, *others]
