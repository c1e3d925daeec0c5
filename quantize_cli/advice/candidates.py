"""The formats of one model that are worth an offer."""

from __future__ import annotations

from collections.abc import Iterator

from quantize_cli.architectures.description import ModelDescription
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.inspection.facts import dtypes
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.format_sizes import FormatSize, format_sizes
from quantize_cli.planning.provenance import usual_options

#: Plain formats: one of them is offered, with 16 bits.
_PLAIN = frozenset({"F32", "F16", "BF16"})
#: Formats of which another is better at about the same size.
_LEGACY = frozenset({"Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"})
#: Formats for models that were trained in them.
_TRAINED = frozenset({"MXFP4_MOE", "TQ2_0", "TQ1_0", "Q2_0", "Q1_0"})


def candidates(description: ModelDescription, checkpoint: Checkpoint) -> Iterator[FormatSize]:
    """Yield the sizes of a model's files in the formats to choose from.

    A source that is quantized itself has the formats that keep it as it is, whatever they are.
    """
    sixteen = "BF16" if dtypes(checkpoint.infos.values())[0].dtype == "BF16" else "F16"
    usual = FORMATS.keys() - _PLAIN - _LEGACY - _TRAINED | {sixteen}
    sizes = [
        held
        for held in format_sizes(description, checkpoint, FORMATS.values(), usual_options(None))
        if held.file_bytes is not None and "allow_requantize" not in held.needs
    ]
    yield from [held for held in sizes if held.format in usual] or sizes
