"""The table of block types: every type that weights can be quantized to."""

from __future__ import annotations

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.few_bits.q1_0 import Q1_0
from quantize_cli.blocks.few_bits.q2_0 import Q2_0
from quantize_cli.blocks.few_bits.tq1_0 import TQ1_0
from quantize_cli.blocks.few_bits.tq2_0 import TQ2_0
from quantize_cli.blocks.fp4.mxfp4 import MXFP4
from quantize_cli.blocks.fp4.nvfp4 import NVFP4
from quantize_cli.blocks.iq1.iq1_m import IQ1_M
from quantize_cli.blocks.iq1.iq1_s import IQ1_S
from quantize_cli.blocks.iq2.iq2_s import IQ2_S
from quantize_cli.blocks.iq2.iq2_xs import IQ2_XS
from quantize_cli.blocks.iq2.iq2_xxs import IQ2_XXS
from quantize_cli.blocks.iq3.iq3_s import IQ3_S
from quantize_cli.blocks.iq3.iq3_xxs import IQ3_XXS
from quantize_cli.blocks.iq4.iq4_nl import IQ4_NL
from quantize_cli.blocks.iq4.iq4_xs import IQ4_XS
from quantize_cli.blocks.k.q2_k import Q2_K
from quantize_cli.blocks.k.q3_k import Q3_K
from quantize_cli.blocks.k.q4_k import Q4_K
from quantize_cli.blocks.k.q5_k import Q5_K
from quantize_cli.blocks.k.q6_k import Q6_K
from quantize_cli.blocks.legacy.q4_0 import Q4_0
from quantize_cli.blocks.legacy.q4_1 import Q4_1
from quantize_cli.blocks.legacy.q5_0 import Q5_0
from quantize_cli.blocks.legacy.q5_1 import Q5_1
from quantize_cli.blocks.legacy.q8_0 import Q8_0
from quantize_cli.blocks.plain import BF16, F16, F32

#: GGML name -> block type.
BLOCK_TYPES: dict[str, BlockType] = {
    block_type.name: block_type
    for block_type in (
        F32,
        F16,
        BF16,
        Q8_0,
        Q6_K,
        Q5_K,
        Q5_1,
        Q5_0,
        Q4_K,
        Q4_1,
        Q4_0,
        IQ4_NL,
        IQ4_XS,
        MXFP4,
        NVFP4,
        Q3_K,
        IQ3_S,
        IQ3_XXS,
        Q2_K,
        IQ2_S,
        IQ2_XS,
        IQ2_XXS,
        Q2_0,
        TQ2_0,
        IQ1_M,
        TQ1_0,
        IQ1_S,
        Q1_0,
    )
}
