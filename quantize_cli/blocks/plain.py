"""F32, F16 and BF16: no blocks, no scales; the value itself, rounded to nearest, ties to even."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantize_cli.blocks.base import Blocks, BlockType, Importance, Packed
from quantize_cli.simd.sixteen_bits import Bits, Values, from_bf16, from_f16, to_bf16, to_f16


def _sixteen_bits(
    name: str, narrow: Callable[[Values, Bits], None], widen: Callable[[Bits, Values], bool]
) -> BlockType:
    def pack(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
        narrow(blocks.reshape(-1), out.reshape(-1).view(np.uint16))

    def unpack(packed: Packed, out: Blocks) -> None:
        widen(packed.reshape(-1).view(np.uint16), out.reshape(-1))

    return BlockType(name, pack, unpack)


def _pack_f32(blocks: Blocks, _importance: Importance | None, out: Packed) -> None:
    out.view(np.float32)[...] = blocks


def _unpack_f32(packed: Packed, out: Blocks) -> None:
    out[...] = packed.view(np.float32)


F32 = BlockType("F32", _pack_f32, _unpack_f32)
F16 = _sixteen_bits("F16", to_f16, from_f16)
BF16 = _sixteen_bits("BF16", to_bf16, from_bf16)
