"""The types of tensors in the converter's own file, before anything is quantized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from functools import lru_cache

from quantize_cli.architectures.reference_data import read_data


def stored_type(name: str, dimensions: int, own: Iterable[tuple[str, str | None]] = ()) -> str | None:
    """Return the type of a tensor that the reference does not store in the type of all matrices, or None.

    Args:
        name: GGUF name.
        dimensions: The number of dimensions.
        own: The family's patterns and types, which count before the common list, but not for vectors and norms; None is
            the type of all matrices.
    """
    facts = read_data("stored_types.json")["always_f32"]
    if dimensions <= facts["dims_at_most"] or name.endswith(tuple(facts["gguf_suffix"])):
        return "F32"
    for pattern, type_name in own:
        if re.search(pattern, name):
            return type_name
    kept = (
        not name.endswith(tuple(facts["name_not_ending_in"]))
        or re.sub(r"(?<=\.)\d+(?=\.)", "{bid}", name.removesuffix(".weight"), count=1) in _kinds()
    )
    return "F32" if kept else None


@lru_cache(maxsize=1)
def _kinds() -> Set[str]:
    return frozenset(read_data("stored_types.json")["always_f32"]["kinds"].values())
