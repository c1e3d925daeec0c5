"""The types of tensors in the converter's own file, before anything is quantized."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

from quantize_cli.architectures.reference_data import read_data


def stored_type(name: str, dimensions: int) -> str | None:
    """Return "F32" if the reference keeps a tensor in float32 in files of every type, or None.

    Args:
        name: GGUF name.
        dimensions: The number of dimensions.
    """
    facts = read_data("stored_types.json")["always_f32"]
    kept = (
        dimensions <= facts["dims_at_most"]
        or name.endswith(tuple(facts["gguf_suffix"]))
        or not name.endswith(tuple(facts["name_not_ending_in"]))
        or re.sub(r"(?<=\.)\d+(?=\.)", "{bid}", name.removesuffix(".weight"), count=1) in _kinds()
    )
    return "F32" if kept else None


@lru_cache(maxsize=1)
def _kinds() -> Set[str]:
    return frozenset(read_data("stored_types.json")["always_f32"]["kinds"].values())
