"""What a file tells of the method that rounded it, in keys of our own.

The size of a file is known before a weight is read, and what a method gives is not. So a plan has these fields with
zeros and names in place; `with_outcome` sets their values later, and all of them keep their lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import UnsupportedError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.planning.model import Plan

#: The method that has rounded the tensors, and the other one of the two that were compared: one is "reference".
METHOD, INSTEAD_OF = "quantize.method", "quantize.method.instead_of"
#: The text, and the SHA-256 of the calibration's file.
TEXT, CALIBRATION_SHA256 = f"{METHOD}.text", f"{METHOD}.calibration_sha256"
#: KLD of this file on that text and its standard error, in nats a token; that of the same types by the reference's own
#: search; and that of a format whose file has the same bytes, of which RIVAL is the name.
KLD, REFERENCE_KLD, RIVAL_KLD = f"{METHOD}.kld", f"{METHOD}.reference_kld", f"{METHOD}.rival_kld"
RIVAL = f"{METHOD}.rival"
#: For each tensor, in the order of the files, whether the method has made its bytes: by its blocks, or by foldings.
TENSORS = f"{METHOD}.tensors"


@dataclass(frozen=True, slots=True)
class PlannedMethod:
    """The method by which a plan's tensors will be rounded, where that is not the reference's own search."""

    name: str  #: what --method takes
    text: str  #: what files are compared on
    calibration_sha256: str  #: of the calibration's file, in hex digits
    rival: str | None = None  #: the format whose file has the same bytes


def error_of(key: str) -> str:
    """Return the key of the standard error of a KLD."""
    return f"{key}_error"


def method_fields(method: PlannedMethod | None, tensors: int) -> tuple[Field, ...]:
    """Return the fields of a plan with so many tensors, whose figures are not known yet."""
    if method is None:
        return ()
    klds = [KLD, REFERENCE_KLD]
    rival = []
    if method.rival is not None:
        klds.append(RIVAL_KLD)
        rival.append(Field(RIVAL, ValueType.STRING, method.rival))
    return (
        Field(METHOD, ValueType.STRING, method.name),
        Field(INSTEAD_OF, ValueType.STRING, "reference"),
        Field(TEXT, ValueType.STRING, method.text),
        Field(CALIBRATION_SHA256, ValueType.STRING, method.calibration_sha256),
        *rival,
        *(Field(name, ValueType.FLOAT32, 0.0) for key in klds for name in (key, error_of(key))),
        Field(TENSORS, ValueType.ARRAY, (False,) * tensors, ValueType.BOOL),
    )


def with_outcome(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """Set the values of fields that the plan has; its files keep their sizes."""
    first, *others = plan.files
    metadata = tuple(replace(held, value=values.get(held.key, held.value)) for held in first.metadata)
    told = replace(first, metadata=metadata)
    assert told.file_bytes == first.file_bytes, "the fields keep their lengths"
    return replace(plan, files=(told, *others))


def check_original(checkpoint: Checkpoint) -> None:
    """Check that a method can round a model.

    Raises:
        UnsupportedError: It is a GGUF file.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        raise UnsupportedError(
            f"{checkpoint.location} is a GGUF file, and --method needs the original model with its config.json; give "
            "that, or leave --method out."
        )
