"""The search for blocks whose scales are NaN or infinite (ggml-quants.c, `ggml_validate_row_data`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gguf_file.scales import EXPONENTS
from quantize_cli.gguf_file.types import GgmlType


def not_finite(packed: NDArray[np.uint8], held: GgmlType) -> NDArray[np.int64]:
    """Return the numbers of the blocks that hold NaN or infinity, ascending; no block needs to be decoded.

    Args:
        packed: Blocks of one type, uint8[bytes].
        held: The type.
    """
    blocks = packed.reshape(-1, held.block_bytes)
    bad = np.zeros(len(blocks), np.bool_)
    for place, nbytes, bits in EXPONENTS.get(held.name, ()):
        numbers = np.ascontiguousarray(blocks[:, place : place + nbytes]).view(f"<u{nbytes}")[:, 0]
        bad |= (numbers & bits) == bits
    return np.flatnonzero(bad)
