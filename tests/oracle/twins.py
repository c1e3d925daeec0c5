"""Slow scalar twins of every block type: one block at a time, plain Python over float32 scalars in element order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracle import affine, few_bits, fp4, iq1, iq2, iq3, iq4, plain, simple, symmetric
from oracle.scalars import Block, F


class Twin(NamedTuple):
    encode: Callable[[Block], bytes] | None  #: one block; None where the type needs importance
    decode: Callable[[bytes], list[F]]
    encode_row: Callable[[Block, Block], bytes] | None = None  #: a row, its importance
    encode_row_as_wheel: Callable[[Block, Block], bytes] | None = None  #: the same, where the wheel's build differs


def _affine(
    encode: Callable[[Block], bytes], decode: Callable[[bytes], list[F]], encode_row: Callable[..., bytes]
) -> Twin:
    return Twin(encode, decode, encode_row, partial(encode_row, clamped_first=True))


TWINS = {
    "F32": Twin(plain.encode_f32, plain.decode_f32),
    "F16": Twin(plain.encode_f16, plain.decode_f16),
    "BF16": Twin(plain.encode_bf16, plain.decode_bf16),
    "Q8_0": Twin(simple.encode_q8_0, simple.decode_q8_0),
    "Q6_K": Twin(symmetric.encode_q6_k, symmetric.decode_q6_k, symmetric.encode_q6_k_row),
    "Q5_K": _affine(affine.encode_q5_k, affine.decode_q5_k, affine.encode_row_q5_k),
    "Q5_1": _affine(simple.encode_q5_1, simple.decode_q5_1, simple.encode_row_q5_1),
    "Q5_0": Twin(simple.encode_q5_0, simple.decode_q5_0, simple.encode_row_q5_0),
    "Q4_K": _affine(affine.encode_q4_k, affine.decode_q4_k, affine.encode_row_q4_k),
    "Q4_1": _affine(simple.encode_q4_1, simple.decode_q4_1, simple.encode_row_q4_1),
    "Q4_0": Twin(simple.encode_q4_0, simple.decode_q4_0, simple.encode_row_q4_0),
    "IQ4_NL": Twin(iq4.encode_iq4_nl, iq4.decode_iq4_nl, iq4.encode_iq4_nl_row),
    "IQ4_XS": Twin(iq4.encode_iq4_xs, iq4.decode_iq4_xs, iq4.encode_iq4_xs_row),
    "MXFP4": Twin(fp4.encode_mxfp4, fp4.decode_mxfp4),
    "NVFP4": Twin(fp4.encode_nvfp4, fp4.decode_nvfp4),
    "Q3_K": Twin(symmetric.encode_q3_k, symmetric.decode_q3_k, symmetric.encode_q3_k_row),
    "IQ3_S": Twin(iq3.encode_iq3_s, iq3.decode_iq3_s, iq3.encode_iq3_s_row),
    "IQ3_XXS": Twin(iq3.encode_iq3_xxs, iq3.decode_iq3_xxs, iq3.encode_iq3_xxs_row),
    "Q2_K": _affine(affine.encode_q2_k, affine.decode_q2_k, affine.encode_row_q2_k),
    "IQ2_S": Twin(iq2.encode_iq2_s, iq2.decode_iq2_s, iq2.encode_row_iq2_s),
    "IQ2_XS": Twin(None, iq2.decode_iq2_xs, iq2.encode_row_iq2_xs),
    "IQ2_XXS": Twin(None, iq2.decode_iq2_xxs, iq2.encode_row_iq2_xxs),
    "Q2_0": Twin(few_bits.encode_q2_0, few_bits.decode_q2_0),
    "TQ2_0": Twin(few_bits.encode_tq2_0, few_bits.decode_tq2_0),
    "IQ1_M": Twin(iq1.encode_iq1_m, iq1.decode_iq1_m, iq1.encode_iq1_m_row),
    "TQ1_0": Twin(few_bits.encode_tq1_0, few_bits.decode_tq1_0),
    "IQ1_S": Twin(None, iq1.decode_iq1_s, iq1.encode_iq1_s_row),
    "Q1_0": Twin(few_bits.encode_q1_0, few_bits.decode_q1_0),
}


def _encoded(name: str, row: Block, importance: Block | None, *, as_wheel: bool = False) -> bytes:
    twin = TWINS[name]
    if importance is None:
        assert twin.encode is not None
        return twin.encode(row)
    encode = twin.encode_row_as_wheel if as_wheel else twin.encode_row
    assert encode is not None
    return encode(row, importance)


def quantize(
    name: str, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None, *, as_wheel: bool = False
) -> NDArray[np.uint8]:
    """Rows float32[n, k] and their importance float32[k] -> packed uint8[n, row_bytes(k)].

    Without importance a row is one block. `as_wheel`: as the wheel's build of the reference does it.
    """
    with np.errstate(all="ignore"):  # overflows, divisions by zero and NaN are part of the reference's behaviour
        packed = [_encoded(name, row, importance, as_wheel=as_wheel) for row in rows]
    return np.frombuffer(b"".join(packed), np.uint8).reshape(len(rows), -1)


def overflows(name: str, rows: NDArray[np.float32], importance: NDArray[np.float32] | None) -> bool:
    """Whether float32 is too small for a number on the way from the rows to their bytes."""
    try:
        with np.errstate(all="ignore", over="raise"):
            for row in rows:
                _encoded(name, row, importance)
    except FloatingPointError:
        return True
    return False


def dequantize(name: str, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Packed uint8[n, block_bytes] -> blocks float32[n, block_size]."""
    with np.errstate(all="ignore"):
        return np.array([TWINS[name].decode(block.tobytes()) for block in packed], F)
