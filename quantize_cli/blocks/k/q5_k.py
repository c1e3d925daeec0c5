"""Q5_K: 5.5 bits per weight; x = d * scale * level - dmin * min, level 0..31.

A super-block of 256 weights, 8 sub-blocks of 32, 176 bytes:

    0    d      float16, scale of the scales
    2    dmin   float16, scale of the mins
    4    scales 12 bytes, see six_bit_scales.py
    16   qh     32 bytes: bit j of byte l is the highest bit of element l of sub-block j
    48   qs     128 bytes: byte 32 p + l holds the low 4 bits of element l of sub-blocks 2p (low) and 2p + 1 (high)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.k.affine import Scheme
from quantize_cli.blocks.k.nibbles import nibble_type
from quantize_cli.blocks.k.six_bit_scales import SUB_BLOCK, TOP_SCALE
from quantize_cli.blocks.search.affine import AffineSearch

F = np.float32
I = np.int32  # noqa: E741
TOP = F(31)
_SCHEME = Scheme(
    plain=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.5), step=F(0.1), steps=16, absolute=False),
    weighted=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.9), step=F(0.05), steps=37, absolute=False),
    variance=F(2),
    top_scale=TOP_SCALE,
    plain_cap=TOP_SCALE,
    weighted_cap=TOP_SCALE,
)

Q5_K = nibble_type("Q5_K", bits=5, scheme=_SCHEME)
