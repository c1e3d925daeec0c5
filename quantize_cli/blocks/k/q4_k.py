"""Q4_K: 4.5 bits per weight; x = d * scale * level - dmin * min, level 0..15.

A super-block of 256 weights, 8 sub-blocks of 32, 144 bytes:

    0    d      float16, scale of the scales
    2    dmin   float16, scale of the mins
    4    scales 12 bytes, see six_bit_scales.py
    16   qs     128 bytes: byte 32 p + l holds element l of sub-block 2p (low 4 bits) and of 2p + 1 (high 4 bits)
"""

from __future__ import annotations

import numpy as np

from quantize_cli.blocks.k.affine import Scheme
from quantize_cli.blocks.k.nibbles import nibble_type
from quantize_cli.blocks.k.six_bit_scales import SUB_BLOCK, TOP_SCALE
from quantize_cli.blocks.search.affine import AffineSearch

F = np.float32
I = np.int32  # noqa: E741
TOP = F(15)
_SCHEME = Scheme(
    plain=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-1), step=F(0.1), steps=21, absolute=False),
    weighted=AffineSearch(size=SUB_BLOCK, top=TOP, first=F(-0.9), step=F(0.05), steps=37, absolute=False),
    variance=F(2),
    top_scale=TOP_SCALE,
    plain_cap=TOP_SCALE,
    weighted_cap=I(255),
)

Q4_K = nibble_type("Q4_K", bits=4, scheme=_SCHEME)
