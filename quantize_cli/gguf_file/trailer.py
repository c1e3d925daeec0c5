"""The trailer: digests behind the tensor data, by which a damaged file is recognised without its source.

Layout, little-endian: MAGIC, u32 version, u32 number of tensors; then SHA-256 digests of 32 bytes each: of the file up
to the start of the tensor data; for each tensor, of the file up to the end of its padding; of all that is before it in
the trailer. `head -c END FILE | sha256sum` computes any of them. Programs that read GGUF files go by the table of
tensors, and never look behind the last one. A header is written before the data, and a pipe cannot go back to it, so
digests can only stand at the end.

The digests are those of one running hash, the file's own, so they cost nothing. They tell the first tensor that is
damaged, but nothing of those behind it. Rejected: a hash of its own for each tensor, which took a twentieth of the
processor time of a run in Q4_K_M, and half of it in BF16.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = b"QUANTSUM"
VERSION = 1

_START = struct.Struct(f"<{len(MAGIC)}sII")
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Trailer:
    """The digests of one file, SHA-256."""

    header: bytes  #: of everything before the tensor data
    tensors: tuple[bytes, ...]  #: for each tensor in file order, of everything before the next one


def trailer_bytes(tensors: int) -> int:
    """Return the size of the trailer of a file with so many tensors."""
    return _START.size + (tensors + 2) * _DIGEST_BYTES


def encode_trailer(digests: Sequence[bytes]) -> bytes:
    """Encode the digest up to the end of the header, and those up to the end of each tensor."""
    body = _START.pack(MAGIC, VERSION, len(digests) - 1) + b"".join(digests)
    return body + hashlib.sha256(body).digest()


def parse_trailer(raw: bytes, tensors: int) -> Trailer:
    """Decode the trailer of a file with so many tensors.

    Raises:
        ValueError: The bytes are not such a trailer; the message completes "its trailer".
    """
    if not raw.startswith(MAGIC):
        raise ValueError("does not begin as one does")
    if len(raw) != trailer_bytes(tensors):
        raise ValueError(f"has {len(raw):,} bytes instead of {trailer_bytes(tensors):,}")
    body, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("does not have its own digest")
    _, version, count = _START.unpack_from(body)
    if version != VERSION:
        raise ValueError(f"has version {version}, which is not known here")
    if count != tensors:
        raise ValueError(f"is that of {count:,} tensors, but the file has {tensors:,}")
    header, *of_tensors = (
        body[start : start + _DIGEST_BYTES] for start in range(_START.size, len(body), _DIGEST_BYTES)
    )
    return Trailer(header, tuple(of_tensors))
