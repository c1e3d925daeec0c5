"""What a file is that is not the model file it was taken for, told by its first bytes.

One table for all readers, because the same mistakes happen to every kind of file: a web page or a pointer was
downloaded in place of the file, a download was interrupted, or a file has the wrong name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Number of bytes from the start of a file that `mistaken_for` needs.
START_BYTES = 4096

LFS_POINTER = b"version https://git-lfs.github.com/"

_AGAIN = "download it again"
_PYTORCH = "load it in PyTorch and save it as safetensors"
_UNPACK = "unpack it first"
_OLD_GGML = "take a GGUF file of the same model"


class Kind(NamedTuple):
    """A kind of file."""

    start: bytes  #: a regular expression for the first bytes
    what: str  #: completes "the file is"
    advice: str


#: The first match wins. GGML's oldest magics are numbers, so their letters stand backwards.
_KINDS = (
    Kind(re.escape(LFS_POINTER), "a Git LFS pointer, not the file itself", "run `git lfs pull` in its folder"),
    Kind(
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml|!--)",
        "a web page",
        "download the file itself (on the Hub, its address has /resolve/ instead of /blob/; a gated model needs a "
        "token)",
    ),
    Kind(rb"GGUF", "a GGUF file", "rename it so that it ends in .gguf"),
    Kind(rb"FUGG", "a GGUF file whose bytes are swapped", "take the little-endian file of the same model"),
    Kind(rb"tjgg|fmgg|lmgg", "in GGML's format before GGUF, which llama.cpp has not read since 2023", _OLD_GGML),
    Kind(rb"algg", "an adapter in GGML's format before GGUF", "merge the adapter into its base model first"),
    Kind(rb"PK\x03\x04", "a zip archive, as PyTorch writes it", f"{_PYTORCH}, or unpack it if it is not PyTorch's"),
    Kind(rb"\x80[\x02-\x05]", "a Python pickle, as PyTorch writes it", _PYTORCH),
    Kind(rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as TensorFlow and Keras write it", _PYTORCH),
    Kind(rb"\x93NUMPY", "a NumPy array", "save the model as safetensors"),
    Kind(rb"\x1f\x8b", "compressed with gzip", _UNPACK),
    Kind(rb"BZh[1-9]", "compressed with bzip2", _UNPACK),
    Kind(rb"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    Kind(rb"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    Kind(rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    Kind(rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    Kind(rb"(?s).{257}ustar", "a tar archive", _UNPACK),
    Kind(rb"(?s).{5}\x00{3}\{", "a safetensors file", "rename it so that it ends in .safetensors"),
    Kind(
        rb"\xef\xbb\xbf\s*[{\[]|\xff\xfe[{\[]\x00|\xfe\xff\x00[{\[]",
        "JSON text with a byte order mark, as Windows programs write it",
        "save it in UTF-8 without that mark",
    ),
    Kind(rb"\s*[{\[]", "JSON text, as a server's error message is", f"look at it, and {_AGAIN}"),
    Kind(rb"\x00+\Z", "filled with zeros, as an interrupted download leaves it", _AGAIN),
    Kind(rb"\Z", "empty", _AGAIN),
)


def mistaken_for(start: bytes, wanted: str) -> str | None:
    """Complete "PATH is" for a file whose first bytes are `start`; return None if nothing is known of its kind.

    Args:
        start: The first `START_BYTES` bytes, or all if the file has fewer.
        wanted: What the file was taken for, "a GGUF file".
    """
    for kind in _KINDS:
        if kind.what != wanted and re.match(kind.start, start):
            return f"{kind.what}, so it cannot be read as {wanted}; {kind.advice}"
    return None
