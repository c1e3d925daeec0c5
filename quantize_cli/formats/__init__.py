"""Block formats: arrays in, bytes out. This package knows no files and no tensor names."""

from __future__ import annotations

from quantize_cli.formats.base import BlockFormat
from quantize_cli.formats.iq2_s import IQ2_S
from quantize_cli.formats.iq2_xs import IQ2_XS
from quantize_cli.formats.iq2_xxs import IQ2_XXS
from quantize_cli.formats.iq4_nl import IQ4_NL
from quantize_cli.formats.iq4_xs import IQ4_XS
from quantize_cli.formats.mxfp4 import MXFP4
from quantize_cli.formats.nvfp4 import NVFP4
from quantize_cli.formats.plain import BF16, F16, F32
from quantize_cli.formats.q1_0 import Q1_0
from quantize_cli.formats.q2_0 import Q2_0
from quantize_cli.formats.q2_k import Q2_K
from quantize_cli.formats.q3_k import Q3_K
from quantize_cli.formats.q4_0 import Q4_0
from quantize_cli.formats.q4_1 import Q4_1
from quantize_cli.formats.q4_k import Q4_K
from quantize_cli.formats.q5_0 import Q5_0
from quantize_cli.formats.q5_1 import Q5_1
from quantize_cli.formats.q5_k import Q5_K
from quantize_cli.formats.q6_k import Q6_K
from quantize_cli.formats.q8_0 import Q8_0
from quantize_cli.formats.tq1_0 import TQ1_0
from quantize_cli.formats.tq2_0 import TQ2_0

#: GGML name -> format, for every type that can be written.
FORMATS: dict[str, BlockFormat] = {
    block_format.name: block_format
    for block_format in (
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
        Q2_K,
        IQ2_S,
        IQ2_XS,
        IQ2_XXS,
        Q2_0,
        TQ2_0,
        TQ1_0,
        Q1_0,
    )
}
