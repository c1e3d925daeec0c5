"""Tensors whose blocks a method has chosen: without its inputs they cannot be derived again."""

from __future__ import annotations

from collections.abc import Collection

from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import listed, shown
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.planning.method_fields import METHOD, TENSORS


def chosen_tensors(file: GgufCheckpoint) -> frozenset[str]:
    """Return the tensors that a file says to hold a method's blocks; none if it does not tell of each tensor."""
    held = next((field for field in file.metadata if field.key == TENSORS), None)
    if held is None or held.item_type is not ValueType.BOOL or len(held.value) != len(file.infos):
        return frozenset()
    return frozenset(name for name, chosen in zip(file.infos, held.value, strict=True) if chosen)


def note_on_chosen(file: GgufCheckpoint, chosen: Collection[str]) -> str:
    """Return a sentence about what is not compared."""
    method = next((field.value for field in file.metadata if field.key == METHOD), None)
    return (
        f"{file.location} states that the method {shown(method)} has made the bytes of {len(chosen):,} of "
        f"{len(file.infos):,} tensors ({listed(sorted(map(shown, chosen)))}); these are not compared with the model, "
        "because only the engine could make them again."
    )
