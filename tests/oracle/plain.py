"""F32, F16 and BF16: one value at a time."""

from __future__ import annotations

import struct

import numpy as np

from oracle.scalars import Block, F, half, half_at, small_float_bits


def encode_f32(x: Block) -> bytes:
    return struct.pack("<f", x[0])


def decode_f32(block: bytes) -> list[F]:
    return [F(struct.unpack("<f", block)[0])]


def encode_f16(x: Block) -> bytes:
    return half(x[0])


def decode_f16(block: bytes) -> list[F]:
    return [half_at(block, 0)]


def encode_bf16(x: Block) -> bytes:
    return small_float_bits(x[0], mantissa_bits=7, least_exponent=-126).to_bytes(2, "little")


def decode_bf16(block: bytes) -> list[F]:
    return [np.uint32(int.from_bytes(block, "little") << 16).view(F)]
