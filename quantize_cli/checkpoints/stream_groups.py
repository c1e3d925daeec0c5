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
#: Bytes that are kept, because tensors of a group are needed one after another, and scales for all rows of their codes.
KEPT_BYTES = 16 << 20


class Group(NamedTuple):
    """A range of a file with small tensors."""

    file: str
    start: int
    stop: int


def groups_of(tensors: Iterable[Located]) -> dict[str, Group]:
    """Return the group of each small tensor by the tensor's name; one without small neighbours is a group by itself."""
    found: dict[str, Group] = {}
    for members in _neighbours(tensors):
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
    if members:
        yield members


class _Content:
    """The bytes of a group, which one thread reads for all that need them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.held: bytearray | None = None


class Groups:
    """The bytes of groups, the last of which are kept; safe to use from several threads.

    Args:
        read: Fills a buffer with the bytes of a file from a place on.
    """

    def __init__(self, read: Callable[[str, int, memoryview], None]) -> None:
        self._read = read
        self._lock = Lock()
        self._kept: OrderedDict[Group, _Content] = OrderedDict()

    def fill(self, group: Group, start: int, left: memoryview) -> None:
        """Fill `left` with the bytes of the group's file from `start` on."""
        content = self._content(group)
        with content.lock:
            if content.held is None:
                read = bytearray(group.stop - group.start)
                self._read(group.file, group.start, memoryview(read))
                content.held = read
        place = start - group.start
        left[:] = content.held[place : place + len(left)]

    def _content(self, group: Group) -> _Content:
        with self._lock:
            content = self._kept[group] = self._kept.pop(group, _Content())
            while len(self._kept) > 1 and sum(kept.stop - kept.start for kept in self._kept) > KEPT_BYTES:
                self._kept.popitem(last=False)
            return content
