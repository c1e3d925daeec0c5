"""The digests of a file while it is written, for its trailer."""

from __future__ import annotations

from quantize_cli.gguf_file.trailer import encode_trailer
from quantize_cli.outputs.hashing import Digest, Hashing


class Trailing:
    """Takes what is written to one file, without padding; hashes beside the run.

    Args:
        header: All that stands before the tensor data.
        hashing: The thread that hashes.
    """

    def __init__(self, header: bytes, hashing: Hashing) -> None:
        self._hashing = hashing
        self._header = hashing.digest()
        self._tensors: list[Digest] = []
        hashing.update(self._header, header)

    def update(self, data: bytes | memoryview, *, first: bool) -> None:
        """Add a piece of the current tensor, or the first of the next one; it must not change afterwards."""
        if first:
            self._tensors.append(self._hashing.digest())
        self._hashing.update(self._tensors[-1], data)

    def encode(self) -> bytes:
        """Wait for the thread, and return the trailer of all tensors that were added."""
        self._hashing.settle()
        return encode_trailer(self._header.digest(), [digest.digest() for digest in self._tensors])
