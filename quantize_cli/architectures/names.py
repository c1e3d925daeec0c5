"""From checkpoint tensor names to GGUF tensor names, as `gguf.TensorNameMap` of the reference maps them.

A pattern holds at most one block number, written `{bid}`. To look a name up, each of its numbers is replaced by
`{bid}`, one at a time. That takes as many look-ups as the name has numbers, while a map of all names would hold some
hundred entries for every layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from quantize_cli.architectures.reference_data import read_data
from quantize_cli.errors import UnsupportedError, shown

#: Endings that a pattern leaves out, in the order in which they are tried.
SUFFIXES = (".weight", ".bias", ".scale")

BLOCK = "{bid}"

#: The longest pattern has 84 characters. Without a bound, a name made of numbers would take a square of its length.
MAX_NAME_LENGTH = 256

_NUMBER = re.compile(r"[0-9]+")


class TensorNames:
    """The tensor names of one model.

    Attributes:
        kinds: Tensor kinds that the architecture may have, and their GGUF names without suffix. `{bid}` stands for the
            block number, `{xid}` for a number inside the block.
    """

    def __init__(self, architecture: str, layers: int) -> None:
        """Prepare the names of `architecture`, which has `layers` blocks, MTP blocks included.

        Raises:
            UnsupportedError: GGUF does not have the architecture.
        """
        table = _table(architecture)
        self.kinds = table.kinds
        self._plain = table.plain
        self._in_block = table.in_block
        self._layers = layers

    def gguf_name(self, checkpoint_name: str) -> str | None:
        """Return the GGUF name of a checkpoint tensor, or None if the architecture does not know the name.

        The whole name is looked up first, then the name without `.weight` or `.bias`; the suffix is added again. A GGUF
        name stands for itself. A name whose block number is `layers` or more is unknown.
        """
        if len(checkpoint_name) > MAX_NAME_LENGTH:
            return None
        if (whole := self._look_up(checkpoint_name)) is not None:
            return whole
        for suffix in SUFFIXES:
            if checkpoint_name.endswith(suffix) and (name := self._look_up(checkpoint_name.removesuffix(suffix))):
                return name + suffix
        return None

    def _look_up(self, name: str) -> str | None:
        if (gguf_name := self._plain.get(name)) is not None:
            return gguf_name
        for number in _NUMBER.finditer(name):
            template = self._in_block.get(f"{name[: number.start()]}{BLOCK}{name[number.end() :]}")
            if template is not None and self._is_block(number[0]):
                return template.replace(BLOCK, number[0])
        return None

    def _is_block(self, digits: str) -> bool:
        return int(digits) < self._layers and (digits == "0" or digits[0] != "0")


@dataclass(frozen=True, slots=True)
class _Table:
    kinds: Mapping[str, str]
    plain: Mapping[str, str]  # patterns without a block number -> GGUF name
    in_block: Mapping[str, str]  # patterns with one -> GGUF name with {bid}


@lru_cache(maxsize=16)
def _table(architecture: str) -> _Table:
    data = read_data("names.json")
    if architecture not in data["architectures"]:
        raise UnsupportedError(
            f"GGUF does not have the architecture {shown(architecture)}; update this package, or check the model."
        )
    overrides = data["overrides"].get(architecture, {})
    winners = data["winners"]
    own = data["architectures"][architecture].split()
    kinds = {kind: data["kinds"][kind][0] for kind in own}
    plain: dict[str, str] = {}
    in_block: dict[str, str] = {}
    for kind, gguf_name in kinds.items():
        for pattern in (gguf_name, *overrides.get(kind, data["kinds"][kind][1:])):
            names = in_block if BLOCK in pattern else plain
            if pattern not in names or winners.get(pattern) == kind:
                names[pattern] = gguf_name
    return _Table(MappingProxyType(kinds), plain, in_block)
