"""How diagnoses name tensors; all names are from files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quantize_cli.architectures.examine import Findings, Wrong
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.errors import shown

#: The most tensors that a sentence names.
_NAMED = 3
#: The most names in which causes are looked for, so that a file of nothing but strange names does not take long.
_TELLING = 4096

_DIGITS = re.compile(r"\d+")


def telling(found: Findings) -> list[TensorInfo]:
    """Return tensors without a place, of each layer's and expert's alike only the first: their names tell enough."""
    kinds: dict[str, TensorInfo] = {}
    for tensor in found.unknown:
        info = tensor.sources[0]
        kinds.setdefault(_DIGITS.sub("", info.name), info)
    return list(kinds.values())[:_TELLING]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 tensor", "1,024 tensors"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def placed(info: TensorInfo) -> str:
    """Return a tensor's name and file."""
    return f"{shown(info.name)} of {info.file}"


def places(infos: Sequence[TensorInfo]) -> str:
    """Return the names and files of tensors, the first few if there are many."""
    return few([placed(info) for info in infos[:_NAMED]], len(infos))


def typed(infos: Sequence[TensorInfo]) -> str:
    """Return the names, files and dtypes of tensors, the first few if there are many."""
    return few([f"{placed(info)} as {info.dtype}" for info in infos[:_NAMED]], len(infos))


def contradictions(wrong: Sequence[Wrong]) -> str:
    """Return tensors with the shapes that they have and should have, one for each pair of shapes."""
    unlike = {(one.wanted, one.tensor.shape): one for one in reversed(wrong)}  # the first of each stays
    firsts = [one for one in wrong if unlike[one.wanted, one.tensor.shape] is one]
    return few([_contradiction(one) for one in firsts], len(wrong))


def few(texts: Sequence[str], total: int) -> str:
    """Join texts for a sentence, the first few if there are many, and count the others of `total`."""
    more = total - min(_NAMED, len(texts))
    return ", ".join(texts[:_NAMED]) + (f" and {more:,} more" if more else "")


def _contradiction(wrong: Wrong) -> str:
    tensor = wrong.tensor
    has = f"{placed(tensor.sources[0])} has the shape {list(tensor.shape)}"
    if wrong.wanted is None:
        return f"{has} ({tensor.trouble})"
    sizes = ", ".join("any" if size is None else str(size) for size in wrong.wanted)
    return f"{has} instead of [{sizes}]"
