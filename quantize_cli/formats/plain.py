"""F32, F16 and BF16: no blocks, no scales; the value itself, rounded to nearest, ties to even."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gguf import GGMLQuantizationType

from quantize_cli.formats._sixteen_bits import Bits, Values, from_bf16, from_f16, to_bf16, to_f16
from quantize_cli.formats.base import BlockFormat, Blocks, Importance, Packed


def _sixteen_bits(
    ggml_type: GGMLQuantizationType, narrow: Callable[[Values, Bits], None], widen: Callable[[Bits, Values], None]
) -> BlockFormat:
    def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
        narrow(blocks.reshape(-1), out.reshape(-1).view(np.uint16))

    def unpack(packed: Packed, out: Blocks) -> None:
        widen(packed.reshape(-1).view(np.uint16), out.reshape(-1))

    return BlockFormat(ggml_type, 1, 2, pack, unpack)


def _pack_f32(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    out.view(np.float32)[...] = blocks


def _unpack_f32(packed: Packed, out: Blocks) -> None:
    out[...] = packed.view(np.float32)


F32 = BlockFormat(GGMLQuantizationType.F32, 1, 4, _pack_f32, _unpack_f32)
F16 = _sixteen_bits(GGMLQuantizationType.F16, to_f16, from_f16)
BF16 = _sixteen_bits(GGMLQuantizationType.BF16, to_bf16, from_bf16)
