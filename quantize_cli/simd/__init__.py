"""Vectors for kernels, and how kernels are compiled; no fact of GGML."""

from quantize_cli.simd.start import import_numba

import_numba()
