"""Vectors for kernels, and how kernels are compiled; no fact of GGML."""

from quantize_cli.simd import start as _start  # noqa: F401  # comes before the first import of Numba
