"""The digest of a plan: one hash of everything that decides the bytes, beside the contents of the source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from quantize_cli.importance.matrix import ImportanceMatrix

if TYPE_CHECKING:
    from quantize_cli.planning.model import Plan, PlannedTensor

#: What is hashed first; another number belongs to each other way to hash.
_KIND = b"quantize plan 1"


def digest_of(plan: Plan) -> str:
    """Hash a plan.

    Two plans with the same digest make the same bytes of the same source. The digest does not depend on paths, on
    warnings, or on reasons. It does not cover the contents of the source, and not the version of the kernels.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    return _hashed([_KIND, (plan.importance_sha256 or "").encode(), *_parts_of_files(plan)])


def importance_digest(matrix: ImportanceMatrix | None) -> str | None:
    """Hash the names, shapes and values of a matrix's entries, whatever their order; None if there is no matrix."""
    if matrix is None:
        return None
    return _hashed(
        part
        for name, values in sorted(matrix.entries.items())
        for part in (_text(name), _text(values.shape), values.tobytes())
    )


def _parts_of_files(plan: Plan) -> Iterable[bytes]:
    for file in plan.files:
        yield _text(file.suffix)
        yield file.header  # metadata, and each tensor's name, shape, type and offset
        yield from map(_recipe, file.tensors)


def _recipe(tensor: PlannedTensor) -> bytes:
    """Spell how a tensor is made; moves and maps are dataclasses of plain values, which `repr` spells in full."""
    made_of = (tensor.sources, tensor.source_dtype, tensor.moves, tensor.maps, tensor.values)
    return _text((*made_of, tensor.rounded_to, tensor.importance))


def _text(value: object) -> bytes:
    return ascii(value).encode()


def _hashed(parts: Iterable[bytes]) -> str:
    """Hash parts, each behind its length, so that no two lists of parts look the same."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()
