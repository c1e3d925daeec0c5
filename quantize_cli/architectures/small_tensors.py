"""Values of small tensors, for the few families whose description depends on them."""

from __future__ import annotations

import numpy as np

from quantize_cli.architectures.model import Weights
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.errors import UnsupportedError, shown

#: A description reads nothing larger.
MAX_BYTES = 1 << 20

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_INTEGERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "u1"}


def read_small(checkpoint: Checkpoint, name: str) -> Weights:
    """Read a tensor as float32, or, if it holds integers, as int64; in its own shape.

    Raises:
        CheckpointError: The file cannot be read.
        UnsupportedError: The tensor is larger than MAX_BYTES, or its dtype is not a plain one.
    """
    info = checkpoint.infos[name]
    if info.nbytes > MAX_BYTES:
        raise UnsupportedError(
            f"{shown(name)} of {info.file} has {info.nbytes:,} bytes, but the metadata depends on its values and is "
            f"made of at most {MAX_BYTES:,}; take another variant of the model."
        )
    content = checkpoint.read_small(name).tobytes()
    if info.dtype == "BF16":
        bits = np.frombuffer(content, "<u2").astype(np.uint32) << 16
        return bits.view(np.float32).reshape(info.shape)
    if info.dtype in _FLOATS:
        return np.frombuffer(content, _FLOATS[info.dtype]).astype(np.float32).reshape(info.shape)
    if info.dtype in _INTEGERS:
        return np.frombuffer(content, _INTEGERS[info.dtype]).astype(np.int64).reshape(info.shape)
    raise UnsupportedError(
        f"{shown(name)} of {info.file} is {info.dtype}, but its values are needed as plain numbers; take another "
        "variant of the model."
    )
