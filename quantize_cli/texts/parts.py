"""Which documents serve for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from itertools import cycle

from quantize_cli.texts.model import Document, Part

#: The order in which the documents of a kind are dealt out: half of them calibrate.
_DEAL = (Part.CALIBRATE, Part.CHOOSE, Part.CALIBRATE, Part.REPORT)


def part_of(documents: Sequence[Document], part: Part) -> tuple[Document, ...]:
    """Return the documents of one part, in their order.

    The documents of each kind are sorted by the SHA-256 of their names, and dealt out in this order: A, B, A, C. So a
    kind with four documents is in all parts.
    """
    names = defaultdict(list)
    for document in documents:
        names[document.kind].append(document.name)
    mine = {
        name
        for of_kind in names.values()
        for name, dealt in zip(sorted(of_kind, key=_digest), cycle(_DEAL), strict=False)
        if dealt is part
    }
    return tuple(document for document in documents if document.name in mine)


def _digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()
