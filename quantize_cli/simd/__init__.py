"""Vectors for kernels, and how kernels are compiled; no fact of GGML."""
