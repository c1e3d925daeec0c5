"""Headers of safetensors files, held against the `safetensors` library."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError, deserialize

from quantize_cli import QuantizeError
from quantize_cli.checkpoints.open import open_checkpoint

#: Sentences that refuse what the library takes, and why.
STRICTER = {
    r"does not hold any tensors": "such a file is good, but not a model",
    r"has the shape \[": "NumPy has at most 64 dimensions",
    r"is not printable text": "names reach terminals",
    r"larger than any file": "the library multiplies sizes up to a 0",
    r"it has the key .* 2 times": "readers disagree which of them counts",
    r"is \[.* instead of an object": "an entry as a list is an accident of the library's own parser",
}


def disagreement(path: Path) -> str | None:
    """Return how the library and we differ over a file, or None."""
    ours, theirs = _ours(path), _theirs(path.read_bytes())
    if ours is None and theirs is not None:
        return f"the safetensors library refuses it: {theirs}"
    if theirs is None and ours is not None and not any(re.search(reason, ours) for reason in STRICTER):
        return f"the safetensors library takes it, and we refuse it: {ours}"
    return None


def _ours(path: Path) -> str | None:
    try:
        open_checkpoint(path).close()
    except QuantizeError as error:
        return str(error)
    return None


def _theirs(content: bytes) -> str | None:
    try:
        deserialize(content)
    except SafetensorError as error:
        return str(error)
    return None
