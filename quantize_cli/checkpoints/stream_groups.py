"""Small tensors that lie side by side in a file, which one request reads: most of a request's time is the server's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import NamedTuple

from quantize_cli.checkpoints.files import Located

#: A tensor of more bytes is read by itself, in as many pieces as its rows are needed.
SMALL_BYTES = 1 << 16
#: Most bytes between two tensors of a group, and of a group.
GAP_BYTES = 1 << 16
GROUP_BYTES = 1 << 20
#: Groups that are kept, because their tensors are needed one after another.
GROUPS_KEPT = 16


class Group(NamedTuple):
    """A range of a file with several small tensors."""

    file: str
    start: int
    stop: int


def groups_of(tensors: Iterable[Located]) -> dict[str, Group]:
    """Return the group of each small tensor that has small neighbours, by the tensor's name."""
    found: dict[str, Group] = {}
    for members in _neighbours(tensors):
        if len(members) > 1:
            last = members[-1]
            group = Group(last.info.file, members[0].offset, last.offset + last.info.nbytes)
            found |= dict.fromkeys((member.info.name for member in members), group)
    return found


def _neighbours(tensors: Iterable[Located]) -> Iterator[list[Located]]:
    members: list[Located] = []
    for tensor in sorted(tensors, key=lambda tensor: (tensor.info.file, tensor.offset)):
        if tensor.info.nbytes > SMALL_BYTES:
            continue
        end = tensor.offset + tensor.info.nbytes
        if members and not (
            members[-1].info.file == tensor.info.file
            and tensor.offset - members[-1].offset - members[-1].info.nbytes <= GAP_BYTES
            and end - members[0].offset <= GROUP_BYTES
        ):
            yield members
            members = []
        members.append(tensor)
    yield members


class Groups:
    """The bytes of groups, the last of which are kept; safe to use from several threads.

    Args:
        read: Fills a buffer with the bytes of a file from a place on.
    """

    def __init__(self, read: Callable[[str, int, memoryview], None]) -> None:
        self._read = read
        self._lock = Lock()
        self._kept: OrderedDict[Group, bytearray] = OrderedDict()

    def fill(self, group: Group, start: int, left: memoryview) -> None:
        """Fill `left` with the bytes of the group's file from `start` on."""
        with self._lock:  # several tensors of a group are often needed at the same time
            content = self._kept.pop(group, None)
            if content is None:
                content = bytearray(group.stop - group.start)
                self._read(group.file, group.start, memoryview(content))
            self._kept[group] = content
            if len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        place = start - group.start
        left[:] = content[place : place + len(left)]
