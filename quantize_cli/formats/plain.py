"""F32, F16 and BF16: no blocks, no scales; the value itself, rounded to nearest, ties to even."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import DTypeLike

from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed


def _plain(ggml_type: GGMLQuantizationType, dtype: DTypeLike) -> BlockFormat:
    def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
        with np.errstate(over="ignore"):  # beyond float16 lies infinity, in the reference too; the report shows it
            out.view(dtype)[...] = blocks

    def unpack(packed: Packed, out: Blocks) -> None:
        out[...] = packed.view(dtype)

    return BlockFormat(ggml_type, 1, np.dtype(dtype).itemsize, pack, unpack)


F32 = _plain(GGMLQuantizationType.F32, np.float32)
F16 = _plain(GGMLQuantizationType.F16, np.float16)
BF16 = _plain(GGMLQuantizationType.BF16, ml_dtypes.bfloat16)
